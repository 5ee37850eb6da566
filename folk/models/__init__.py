"""Networks: encoders by timm name, heads, classifier and segmenter."""
