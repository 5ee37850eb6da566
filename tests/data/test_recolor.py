"""Colors changed on the device are those that a loading process would have made."""

import numpy as np
import pytest
import skimage.data
import torch

from folk.data.color import ColorChange, recolored
from folk.data.dataset import ImageDataset, collate
from folk.data.pixels import from_array
from folk.data.transforms import batch_views, view_transforms

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea")
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
# Largest difference in gray levels, and the largest mean one.
EXACT, ROUNDED, BLURRED = (0, 0.0), (1, 0.001), (2, 0.35)
CHANGES = {
    "nothing": (ColorChange(), EXACT),
    "darker": (ColorChange(((BRIGHTNESS, 0.6217),)), EXACT),
    "brighter": (ColorChange(((BRIGHTNESS, 1.4),)), EXACT),
    "less contrast": (ColorChange(((CONTRAST, 0.6217),)), EXACT),
    "more contrast": (ColorChange(((CONTRAST, 1.3913),)), EXACT),
    "paler": (ColorChange(((SATURATION, 0.81),)), ROUNDED),
    "more colorful": (ColorChange(((SATURATION, 1.1733),)), ROUNDED),
    "hue up": (ColorChange(((HUE, 0.0871),)), ROUNDED),
    "hue down": (ColorChange(((HUE, -0.1),)), ROUNDED),
    "gray": (ColorChange(gray=True), EXACT),
    "hardly blurred": (ColorChange(sigma=0.1), BLURRED),
    "blurred": (ColorChange(sigma=0.83), BLURRED),
    "blurred most": (ColorChange(sigma=2.0), BLURRED),
    "solarized": (ColorChange(solarize=True), EXACT),
}


def photographs(side=64):
    whole = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]
    return np.stack([each[50 : 50 + side, 60 : 60 + side] for each in whole])


def noise(side=64):
    """Every color with the same chance, also those that no photograph has."""
    return np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)


def on_device(images, changes):
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    numbers = torch.stack([change.numbers() for change in changes])
    return recolored(batch, numbers).permute(0, 2, 3, 1).numpy()


def apart(one, other):
    return np.abs(one.astype(int) - other.astype(int))


@pytest.mark.parametrize("images", [photographs(), noise()], ids=["photographs", "noise"])
@pytest.mark.parametrize(("change", "bound"), CHANGES.values(), ids=CHANGES)
def test_each_change_gives_the_values_of_the_cpu(change, bound, images):
    found = on_device(images, [change] * 3)

    difference = apart(found, np.stack([change(image) for image in images]))
    assert difference.max() <= bound[0]
    assert difference.mean() <= bound[1]


def test_steps_are_made_in_the_order_drawn():
    forth = ColorChange(((BRIGHTNESS, 1.4), (CONTRAST, 0.6), (SATURATION, 1.2), (HUE, 0.05)))
    back = ColorChange(forth.steps[::-1])
    images = photographs()

    for change in (forth, back):
        difference = apart(
            on_device(images, [change] * 3), np.stack([change(each) for each in images])
        )
        assert difference.mean() < 0.1
    assert apart(on_device(images, [forth] * 3), on_device(images, [back] * 3)).mean() > 1.0


def test_every_image_of_a_batch_gets_its_own_change_and_no_other():
    changes = [change for change, _ in CHANGES.values()]
    images = np.repeat(photographs()[:1], len(changes), axis=0)

    together = on_device(images, changes)

    for image, change, found in zip(images, changes, together, strict=True):
        assert np.array_equal(on_device(image[None], [change])[0], found)


def test_the_batch_that_is_given_stays_as_it_is():
    images = photographs()
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)

    recolored(batch, torch.stack([ColorChange(solarize=True).numbers()] * 3))

    assert np.array_equal(batch.permute(0, 2, 3, 1).numpy(), photographs())


@pytest.mark.parametrize("kind", ["mfm", "dino"])
@pytest.mark.parametrize("and_spatial", [False, True])
def test_views_of_a_seed_are_those_of_the_loader(scenes, kind, and_spatial):
    def batch(colors):
        views = view_transforms(
            kind,
            size=32,
            min_scale=0.2,
            jitter=1.0,
            num_views=2,
            and_spatial=and_spatial,
            colors=colors,
        )
        dataset = ImageDataset(scenes.split("train"), views, seed=5)
        made = collate([dataset[index] for index in range(len(dataset))])
        return batch_views(made, torch.device("cpu"), and_spatial=and_spatial)

    loader, device = batch("loader"), batch("device")

    assert len(device) == len(loader) == (4 if and_spatial else 2)
    for ours, theirs in zip(device, loader, strict=True):
        difference = 255.0 * (ours - theirs).abs()
        # What differs by one before a step may differ by more after it, and solarization jumps.
        assert difference.mean() < 0.25
        assert (difference > 2.5).float().mean() < 0.01
    if and_spatial:
        assert torch.equal(torch.stack(device[2:]), torch.stack(loader[2:]))


def test_random_numbers_do_not_depend_on_who_changes_the_colors():
    pixels = from_array(photographs()[0])
    left = {}
    for colors in ("loader", "device"):
        rng = np.random.default_rng(7)
        for _ in range(20):
            view_transforms("dino", size=32, min_scale=0.2, jitter=1.0, num_views=2, colors=colors)(
                pixels, rng
            )
        left[colors] = rng.random()

    assert left["loader"] == left["device"]
