"""What to do about modules, functions, methods and operators that people often have and a model has not."""

from __future__ import annotations

_LOGITS = "leave it out, margins are measured on the logits"
_SAMPLE = "it divides by numbers of each sample; train with BatchNorm, which divides by constants"
_PRODUCT = "it multiplies values of the input with each other, which has no Lipschitz constant on all inputs"
_SLOPE = "no slope of it is proved; take SiLU, or another function that is known"
_LARGER = "no layer of a model makes an image larger"
_BORDER = "take zeros (ZeroPad2d), or padding_mode='circular' of the convolution"
_AXES = "images have two axes, sequences one"
_STEEP = "it has no Lipschitz constant on all inputs"
_CHOICE = "a choice by values; write it as relu, clamp or hardtanh"

_ADVICE = {
    _LOGITS: ("Softmax", "LogSoftmax", "Softmin", "Softmax2d", "softmin"),
    _SAMPLE: (
        "LayerNorm", "GroupNorm", "RMSNorm", "InstanceNorm1d", "InstanceNorm2d", "LocalResponseNorm", "layer_norm", "group_norm",
        "LayerNormalization", "GroupNormalization", "RMSNormalization", "InstanceNormalization", "LRN", "LpNormalization",
        "rms_norm", "instance_norm", "local_response_norm", "normalize", "norm", "std", "var", "LayerNorm2d",
    ),
    _PRODUCT: (
        "MultiheadAttention", "scaled_dot_product_attention", "Transformer", "TransformerEncoderLayer", "bmm",
        "baddbmm", "Bilinear", "bilinear", "GLU", "glu", "prod", "cumprod", "Attention",
    ),
    _SLOPE: (
        "Softsign", "softsign", "Tanhshrink", "tanhshrink", "Softshrink", "softshrink", "sin", "cos", "atan",
    ),
    _LARGER: (
        "ConvTranspose1d", "ConvTranspose2d", "conv_transpose1d", "conv_transpose2d", "Upsample", "UpsamplingBilinear2d",
        "UpsamplingNearest2d", "interpolate", "PixelShuffle", "pixel_shuffle", "ConvTranspose", "Resize", "DepthToSpace",
    ),
    _BORDER: ("ReflectionPad1d", "ReflectionPad2d", "ReplicationPad1d", "ReplicationPad2d", "CircularPad1d", "CircularPad2d"),
    _AXES: ("Conv3d", "conv3d", "BatchNorm3d", "MaxPool3d", "AvgPool3d", "AdaptiveAvgPool3d"),
    _STEEP: ("pow", "square", "sqrt", "exp", "log", "reciprocal", "Hardshrink", "hardshrink", "floor", "sign",
             "Pow", "Sqrt", "Exp", "Log", "Reciprocal", "Floor", "Sign"),
    _CHOICE: ("where", "gt", "lt", "ge", "le", "masked_fill", "argmax", "topk", "ThresholdedRelu", "Less",
              "ArgMax", "TopK"),
    "add the values, or put them side by side along the channels: torch.cat(values, 1)": ("hstack", "dstack"),
    "write the product with a constant matrix as F.linear": ("einsum", "tensordot", "mv", "Einsum"),
    "take AvgPool or MaxPool": ("LPPool1d", "LPPool2d", "FractionalMaxPool2d", "LpPool", "GlobalLpPool"),
    "it rounds; convert the network, net.half()": ("half", "bfloat16", "int", "long", "round"),
    "it has no fixed layers: export the network for one shape, so that control flow is followed": ("If", "Loop", "Scan"),
    "it rounds to integers: take the network that it was made of": ("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv"),
    "take amax": ("max",),
    "x[:, a:b] takes ranges of channels, and x[:, [2, 0, 1]] a list": ("gather", "take", "unbind", "narrow"),
}
_BY_NAME = {name: advice for advice, names in _ADVICE.items() for name in names}


def advised(name: str, what: str) -> str:
    """Returns what is there, with advice about the name where there is some."""
    advice = _BY_NAME.get(name.rpartition(".")[2])
    return what if advice is None else f"{what}: {advice}"
