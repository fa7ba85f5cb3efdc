"""The masks of sequences in a graph: which places are padding, from the embedding to the layers that leave them out.

A mask is a source of the network, an input or a layer, with one number for each place; 0 stands for padding. It begins
at an embedding with `mask_padding`, whose input it is. Layers that keep the places of a sequence pass it on, as Keras's
do; where it ends (`flatten`, convolutions, poolings, ...) padding counts like any other value.
"""

from collections.abc import Mapping, Sequence

from .layers import Layer, Shape


def taken(kind: type[Layer], sources: Sequence[int], shapes: Sequence[Shape], masks: Mapping[int, int]) -> int | None:
    """Return the mask that a layer reads as a further input; None if there is none, or the layer names one itself.

    Args:
        kind: of the layer.
        sources: of its inputs.
        shapes: of its inputs.
        masks: the mask of each source that has one. In attention to another sequence that of the latter counts.
    """
    return masks.get(sources[-1]) if kind.takes_mask and len(shapes[-1]) == 2 else None


def passed(layer: Layer, sources: Sequence[int], masks: Mapping[int, int]) -> int | None:
    """Return the mask of the output of a layer; None if there is none.

    Args:
        layer: the layer.
        sources: of its inputs.
        masks: the mask of each source that has one. Merged sequences have one if all masks among them are the same.
    """
    if layer.mask_padding:
        return sources[0]
    if not any(shape[:1] == layer.output_shape[:1] for shape in layer.input_shapes) or len(layer.output_shape) != 2:
        return None
    known = {masks[source] for source in sources[layer.masked_by] if source in masks}
    return known.pop() if len(known) == 1 else None
