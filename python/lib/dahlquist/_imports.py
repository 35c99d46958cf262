"""Networks of other libraries as models.

The importers are no part of what is proved. They make a :class:`~dahlquist.Model`, and certificates are about *its* numbers;
:meth:`dahlquist.Model.verify_export` compares its logits with those of the network that it came from.
"""

from __future__ import annotations

from collections.abc import Iterable

from ._model import Model

__all__ = ["from_onnx", "from_state_dict", "from_torch"]


def from_torch(network, input_shape, *, normalize=None, ignore_hooks: bool = False, verify: bool = True):
    """Returns the model that a PyTorch network computes in evaluation mode.

    Parameters
    ----------
    network : torch.nn.Module
        It is traced by torch.fx, on its own weights, and left as it was: its mode, its hooks, its parametrizations, its
        attributes, its buffers, and the state of random numbers.
    input_shape : int or tuple of int
        The shape of one sample, without the batch: ``(features,)``, ``(channels, length)`` or
        ``(channels, height, width)``. If all that the network does with it at first is to give it another shape, the model
        takes that shape.
    normalize : (mean, std), optional
        The normalization of the samples that the network was trained with, by channel. It becomes the first layer of the
        model, which then takes pixels in [0, 1], and radii are in their units.
    ignore_hooks : bool
        Take a network with forward hooks, whose effect cannot be read, as if it had none.
    verify : bool
        Run the network twice and the model once on two random samples, and refuse the import where their logits differ by
        more than rounding explains, 1e-3 of the largest one. False leaves it out, and imports what torch.fx saw.

    Returns
    -------
    Model

    Raises
    ------
    UnsupportedError
        With everything that it cannot take, each with its path in the network.

    Notes
    -----
    ==========================  =====================================================================================
    layer                       becomes
    ==========================  =====================================================================================
    Linear, Conv1d, Conv2d      dense, conv2d: stride, padding (also "same", zeros or circular), dilation, groups
    BatchNorm1d, 2d             folded into the layer before it, else an affine map of each channel; in evaluation mode
    ReLU and its kin            activation: relu, leaky_relu, tanh, sigmoid, softplus, elu, silu, gelu (and its form by tanh), mish,
                                hardswish, hardtanh; PReLU, CELU, SELU and clamps by these, scaled, shifted and added
    MaxPool, AvgPool            max_pool, avg_pool; AdaptiveAvgPool of one point: global_avg_pool
    torch.cat, parts x[:, a:b]  sums of what each value is among zeros; convolutions of zeros and ones
    torch.stack and a mean      a sum of branches; lists and shuffles of channels: the order of the weights beside them
    GroupSort, MaxMin           sort
    Flatten, PixelUnshuffle     flatten, space_to_depth
    ZeroPad2d, F.pad            the padding of the convolution behind it, else a convolution that moves the image
    a + b, a - b, a * constant  sum of branches, an affine map of each channel
    Dropout, StochasticDepth    nothing; Identity neither
    parametrizations, old-style weight_norm, spectral_norm: the weight that they evaluate to
    ==========================  =====================================================================================

    PyTorch's softplus is the identity beyond 20, where the one that is proved is larger by up to 2e-9.
    """
    from .importers._torch import read_network
    from .importers._verify import look_at_import

    shape, layers, origins = read_network(network, input_shape, ignore_hooks)
    model = Model(shape, layers, normalize=normalize)
    model._given = tuple(input_shape) if isinstance(input_shape, Iterable) else (input_shape,)
    model._origins = origins
    if verify:
        look_at_import(model, network)
    return model


def from_onnx(path, *, input_shape=None, normalize=None, verify: bool = True):
    """Returns the model that an ONNX file describes. Needs the package ``onnx``.

    Parameters
    ----------
    path : path, bytes or onnx.ModelProto
        The file, or what it holds.
    input_shape : tuple of int, optional
        The shape of one sample, if the file does not say it.
    normalize : (mean, std), optional
        As for :func:`from_torch`.
    verify : bool
        Run the graph by the reference implementation of ONNX, which comes with the package, and the model, on two random
        samples, and refuse the import where their logits differ by more than 1e-3 of the largest one, in double precision too.
        A graph that the reference implementation does not run, or that needs more than about 2e9 multiplications for both, is
        imported with a warning. False leaves the comparison out.

    Raises
    ------
    UnsupportedError
        With every operator that it cannot take, each with its name.
    """
    from .importers._onnx import read_onnx
    from .importers._onnx_verify import look_at_graph

    shape, layers, seen = read_onnx(path, input_shape)
    model = Model(shape, layers, normalize=normalize)
    if verify:
        look_at_graph(model, **seen)
    return model


def from_state_dict(layers, state, input_shape, *, normalize=None):
    """Returns the model of layers whose weights are in a ``state_dict``.

    Parameters
    ----------
    layers : sequence of dict
        The layers in the format of model files, weights by their names in `state`. Besides its types there is
        ``{"type": "batch_norm", "name": "bn1"}``, the normalization with the running statistics of that name; ``eps`` is
        1e-5 if it is not given.
    state : mapping of str to array, or path
        The weights: of PyTorch or NumPy, or a file that ``torch.load`` reads with ``weights_only=True``, or a safetensors
        file.
    input_shape : int or tuple of int
        The shape of one sample, without the batch.
    normalize : (mean, std), optional
        As for :func:`from_torch`.

    Examples
    --------
    >>> import numpy as np
    >>> state = {"0.weight": np.eye(3, 2, dtype=np.float32), "0.bias": np.zeros(3, np.float32), "steps": np.int64(7)}
    >>> from_state_dict([{"type": "dense", "weight": "0.weight", "bias": "0.bias"}], state, 2)
    Model: 2 -> 3, float32, 1 layers
    0  dense
    """
    from .importers._state import read_state

    return Model(input_shape, *read_state(layers, state), normalize=normalize)
