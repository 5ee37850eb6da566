"""What several processes do together; torchrun starts it, each process prints its answer."""

import json

import numpy as np
import torch

from folk.stages.optimization import accumulated_step
from folk.training import distributed
from folk.training.distributed import open_world


def main() -> None:
    distributed.BLOCK_BYTES = 24  # a few rows
    with open_world(1) as world:
        places = [np.arange(7)[world.rank :: 2]] if world.rank < 2 else []
        rows = world.gather_rows([(own, np.stack([own, own**2], 1)) for own in places])

        norm = torch.nn.BatchNorm1d(1)
        norm.running_mean.fill_(5.0 + world.rank)
        world.share_buffers(norm)

        torch.manual_seed(0)
        line = torch.nn.Linear(2, 1)
        wrapped = world.wrap(line)
        optimizer = torch.optim.SGD(line.parameters(), lr=0.1)
        images = torch.arange(12.0).view(6, 2)[2 * world.rank : 2 * world.rank + 2]
        accumulated_step(
            wrapped,
            world,
            optimizer,
            lambda part: wrapped(images[part]).square().mean(),
            [slice(0, 1), slice(1, 2)],
            None,
        )
        answer = {
            "rows": rows.tolist(),
            "mean": norm.running_mean.tolist(),
            "weight": line.weight.tolist()[0],
        }
        answers = world.gather(answer)
        if world.is_main:
            print(json.dumps(answers))


if __name__ == "__main__":
    main()
