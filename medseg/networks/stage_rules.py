"""Which modules of a known network make its stages; see `medseg.networks.stages`.

A rule names more than a network may have (the convolution of a shortcut, say): what is not there is
left out. Stages run from input to output, so those of a decoder come last, the finest at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Parts = dict[str, Any]


def _encoder_decoder(network: Any) -> Parts:
    down = [(f"encoder.{i}",) for i in range(len(network.encoder))]
    first_gated = getattr(network, "first_gated", 0)
    up = [
        (f"gates.{i - first_gated}", f"decoder.{i}") for i in reversed(range(len(network.decoder)))
    ]
    return {"body": [*down, *up], **_ours(network)}


def _unet_plus_plus(network: Any) -> Parts:
    # A column of nodes is a stage: each needs the column before it.
    down = [(f"encoder.{i}",) for i in range(len(network.encoder))]
    columns = [(f"decoder.{i}",) for i in range(len(network.decoder))]
    return {"body": [*down, *columns], **_ours(network)}


def _ours(network: Any) -> Parts:
    heads = tuple(f"heads.{i}" for i in range(len(network.heads)))
    return {"head": heads, "first": ("encoder.0.0.0",), "logits": heads}


def _highres_net(network: Any) -> Parts:
    size = network.blocks_per_group
    groups = [
        tuple(f"blocks.{i + k}" for k in range(size)) for i in range(0, len(network.blocks), size)
    ]
    body = [("stem",), *groups]
    return {"body": body, "head": ("head",), "first": ("stem.0",), "logits": ("head",)}


def _deepmedic(network: Any) -> Parts:
    paths = [(f"fine.{i}", f"coarse.{i}") for i in range(len(network.fine))]
    hidden = [(f"hidden.{i}",) for i, m in enumerate(network.hidden) if len(list(m.parameters()))]
    return {
        "body": [*paths, *hidden],
        "head": ("head",),
        "first": ("fine.0.0", "coarse.0.0"),
        "logits": ("head",),
    }


def _segresnet(network: Any) -> Parts:
    down = [(f"down_layers.{i}",) for i in range(len(network.down_layers))]
    up = [(f"up_samples.{i}", f"up_layers.{i}") for i in range(len(network.up_layers))]
    return {
        "body": [("convInit", "dropout", *down[0]), *down[1:], *up],
        "head": ("conv_final",),
        "first": ("convInit.conv",),
        "logits": ("conv_final.2.conv",),
    }


def _segresnet_ds(network: Any) -> Parts:
    down = [(f"encoder.layers.{i}",) for i in range(len(network.encoder.layers))]
    levels = [f"up_layers.{i}" for i in range(len(network.up_layers))]
    heads = tuple(f"{level}.head" for level in levels)
    return {
        "body": [
            ("encoder.conv_init", *down[0]),
            *down[1:],
            *((f"{level}.upsample", f"{level}.blocks") for level in levels),
        ],
        "head": heads,
        "first": ("encoder.conv_init",),
        "logits": heads,
    }


# A block of MONAI's transformer U-Nets that reads the image, and its shortcut.
_READS_IMAGE = ("encoder1.layer.conv1.conv", "encoder1.layer.conv3.conv")


def _swin_unetr(network: Any) -> Parts:
    def level(number: int, *skip: str) -> tuple[str, ...]:
        return (f"swinViT.layers{number}c", f"swinViT.layers{number}", *skip)

    return {
        "body": [
            ("swinViT.patch_embed", "swinViT.pos_drop", "encoder1", "encoder2"),
            level(1, "encoder3"),
            level(2, "encoder4"),
            level(3),
            level(4, "encoder10"),
            *((f"decoder{number}",) for number in (5, 4, 3, 2, 1)),
        ],
        "head": ("out",),
        "first": ("swinViT.patch_embed.proj", *_READS_IMAGE),
        "logits": ("out.conv.conv",),
    }


def _unetr(network: Any) -> Parts:
    # The decoder takes what the layers 3, 6, 9 and the last give.
    def layers(first: int, last: int, *skip: str) -> tuple[str, ...]:
        return (*(f"vit.blocks.{i}" for i in range(first, last + 1)), *skip)

    return {
        "body": [
            ("vit.patch_embedding", "encoder1"),
            layers(0, 3, "encoder2"),
            layers(4, 6, "encoder3"),
            layers(7, 9, "encoder4"),
            layers(10, 11, "vit.norm"),
            *((f"decoder{number}",) for number in (5, 4, 3, 2)),
        ],
        "head": ("out",),
        "first": ("vit.patch_embedding.patch_embeddings", *_READS_IMAGE),
        "logits": ("out.conv.conv",),
    }


def _mednext(network: Any) -> Parts:
    down = len(network.enc_stages)
    heads = [f"out_blocks.{i}" for i in range(len(getattr(network, "out_blocks", ())))]
    return {
        "body": [
            ("stem", "enc_stages.0"),
            *((f"down_blocks.{i - 1}", f"enc_stages.{i}") for i in range(1, down)),
            (f"down_blocks.{down - 1}", "bottleneck"),
            *((f"up_blocks.{i}", f"dec_stages.{i}") for i in range(len(network.up_blocks))),
        ],
        "head": ("out_0", *heads),
        "first": ("stem",),
        "logits": tuple(f"{head}.conv_out" for head in ("out_0", *heads)),
    }


def _monai_unet(network: Any) -> Parts:
    # Nested: each level is (down, (level below), up), and the top's way up is the head.
    depth = len(network.channels) - 1
    levels = ["model" + ".1.submodule" * i for i in range(depth + 1)]
    return {
        "body": [
            *((f"{level}.0",) for level in levels[:-1]),
            (levels[-1],),
            *((f"{level}.2",) for level in reversed(levels[1:-1])),
        ],
        "head": ("model.2",),
        "first": ("model.0.conv", "model.0.conv.unit0.conv", "model.0.residual"),
        "logits": ("model.2.conv", "model.2.0.conv"),
        "after": ("model.2.0.adn", "model.2.1"),
    }


def _monai_attention_unet(network: Any) -> Parts:
    # Nested likewise, but for the last level, which has nothing below it.
    depth = len(network.channels) - 1
    levels = ["model.1" + ".submodule.1" * i for i in range(depth)]
    return {
        "body": [
            ("model.0",),
            *((f"{level}.submodule.0",) for level in levels[:-1]),
            (f"{levels[-1]}.submodule",),
            *(
                (f"{level}.upconv", f"{level}.attention", f"{level}.merge")
                for level in reversed(levels)
            ),
        ],
        "head": ("model.2",),
        "first": ("model.0.conv.0.conv",),
        "logits": ("model.2.conv",),
    }


def _dynunet(network: Any) -> Parts:
    heads = [
        f"deep_supervision_heads.{i}"
        for i in range(len(getattr(network, "deep_supervision_heads", ())))
    ]
    return {
        "body": [
            ("input_block",),
            *((f"downsamples.{i}",) for i in range(len(network.downsamples))),
            ("bottleneck",),
            *((f"upsamples.{i}",) for i in range(len(network.upsamples))),
        ],
        "head": ("output_block", *heads),
        "first": ("input_block.conv1.conv", "input_block.conv3.conv"),
        "logits": tuple(f"{head}.conv.conv" for head in ("output_block", *heads)),
    }


def _vnet(network: Any) -> Parts:
    sizes = (32, 64, 128, 256)
    down = [(f"down_tr{size}",) for size in sizes]
    up = [(f"up_tr{size}",) for size in reversed(sizes)]
    return {
        "body": [("in_tr",), *down, *up],
        "head": ("out_tr",),
        "first": ("in_tr.conv_block.conv",),
        "logits": ("out_tr.conv_block.conv",),
        "after": ("out_tr.conv_block.adn", "out_tr.act_function1", "out_tr.conv2"),
    }


def _basic_unet(network: Any) -> Parts:
    down = [(f"down_{i}",) for i in range(1, 5)]
    up = [(f"upcat_{i}",) for i in range(4, 0, -1)]
    return {
        "body": [("conv_0",), *down, *up],
        "head": ("final_conv",),
        "first": ("conv_0.conv_0.conv",),
        "logits": ("final_conv",),
    }


def _basic_unet_plus_plus(network: Any) -> Parts:
    down = [(f"conv_{i}_0",) for i in range(5)]
    columns = [tuple(f"upcat_{i}_{j}" for i in range(5 - j)) for j in range(1, 5)]
    heads = tuple(f"final_conv_0_{j}" for j in range(1, 5))
    return {
        "body": [*down, *columns],
        "head": heads,
        "first": ("conv_0_0.conv_0.conv",),
        "logits": heads,
    }


def _pyramid_network(network: Any) -> Parts:
    down = [(f"pyramid.encoder.{i}",) for i in range(len(network.pyramid.encoder))]
    up = ("pyramid.laterals", "pyramid.enlarge", "pyramid.smooth", "segmenter.0")
    last = len(network.heads.classes) - 1
    return {
        "body": [*down, up],
        "head": ("heads", "segmenter.1"),
        "first": ("pyramid.encoder.0.0.0",),
        # Boxes are no classes, but there are as many as there are anchors.
        "logits": (f"heads.classes.{last}", f"heads.boxes.{last}", "segmenter.1"),
    }


# By the package and the name of the class, or of one that it is made from.
RULES: dict[str, Callable[[Any], Parts]] = {
    "medseg.DeepMedic": _deepmedic,
    "medseg.EncoderDecoder": _encoder_decoder,
    "medseg.HighResNet": _highres_net,
    "medseg.PyramidNetwork": _pyramid_network,
    "medseg.UNetPlusPlus": _unet_plus_plus,
    "monai.AttentionUnet": _monai_attention_unet,
    "monai.BasicUNet": _basic_unet,
    "monai.BasicUNetPlusPlus": _basic_unet_plus_plus,
    "monai.DynUNet": _dynunet,
    "monai.MedNeXt": _mednext,
    "monai.SegResNet": _segresnet,
    "monai.SegResNetDS": _segresnet_ds,
    "monai.SwinUNETR": _swin_unetr,
    "monai.UNETR": _unetr,
    "monai.UNet": _monai_unet,
    "monai.VNet": _vnet,
}
