"""Models: what goes in is what is computed, saved and hashed; what does not fit is refused with its sentence."""

import copy
import hashlib
import pickle

import numpy as np
import pytest

import dahlquist as dq

from conftest import mlp


def test_a_model_computes_what_its_layers_say(rng):
    model, weights = mlp(rng)
    x = rng.normal(size=(5, 6)).astype(np.float32)
    (w, b), (v, c) = weights
    expected = np.maximum(x @ w.T + b, 0) @ v.T + c
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)
    assert (model.input_shape, model.output_shape, model.dtype) == ((6,), (4,), np.float32)
    # Double precision in, double precision out.
    assert mlp(rng, dtype=np.float64)[0].predict(x.astype(np.float64)).dtype == np.float64


def test_what_is_saved_is_what_is_hashed(model, tmp_path, rng):
    path = tmp_path / "net.safetensors"
    model.save(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256
    again = dq.load(path)
    x = rng.normal(size=(3, 6)).astype(np.float32)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.sha256 == model.sha256 and again.architecture == model.architecture
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_names_of_tensors_are_kept_and_those_that_no_layer_names_left_out(rng):
    state = {"fc.weight": rng.normal(size=(2, 3)), "bn.num_batches_tracked": np.int64(7), "other": np.full(2, np.nan)}
    model = dq.from_state_dict([{"type": "dense", "weight": "fc.weight"}], state, 3)
    assert list(model.tensors) == ["fc.weight"] and model.dtype == np.float64


def test_a_transposed_array_is_read_as_it_shows():
    # safetensors.numpy writes the memory of a transposed array, which is another matrix.
    w = np.float32([[1, 2, 3], [4, 5, 6]])
    model = dq.Model(2, [{"type": "dense", "weight": w.T}])
    np.testing.assert_array_equal(model.predict(np.float32([[1, 0]])), [[1, 2, 3]])
    x = np.asfortranarray(np.float32([[1, 0], [0, 1], [2, 2]]))
    np.testing.assert_array_equal(model.predict(x), x @ w)
    big = w.astype(">f4")
    np.testing.assert_array_equal(dq.Model(3, [{"type": "dense", "weight": big}]).predict(np.float32([[1, 0, 0]])), [[1, 4]])


def test_half_precision_is_exact():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    model = dq.Model(1, [{"type": "dense", "weight": every[:, None]}])
    np.testing.assert_array_equal(model.predict(np.float32([[1]]))[0], every.astype(np.float32))


def test_one_double_makes_all_double():
    layers = [{"type": "dense", "weight": np.float32([[0.1]])}, {"type": "dense", "weight": np.float64([[0.1]])}]
    model = dq.Model(1, layers)
    assert model.dtype == np.float64
    assert model.predict(np.float64([[1]]))[0, 0] == np.float64(np.float32(0.1)) * 0.1


def test_the_mean_is_subtracted_first():
    model = dq.Model((2, 1, 1), [{"type": "flatten"}], normalize=([0.5, 0.25], 0.5))
    np.testing.assert_array_equal(model.predict(np.float32([[[[1]], [[1]]]])), [[1, 1.5]])


@pytest.mark.parametrize(
    ("layers", "exception", "said", "layer"),
    [
        ([{"type": "dense", "weight": np.ones((2, 5), np.float32)}], "ShapeError", "expected shape 5, found 3", "0"),
        ([{"type": "flaten"}], "ParameterError", "flatten", "0"),
        ([{"type": "sum", "branches": [[], [{"type": "dens"}]]}], "ParameterError", '"dense"', "0.1.0"),
        ([{"type": "dense", "weight": np.float32([[1, np.nan, 0]])}], "NotFiniteError", "entry 1", "0"),
        ([{"type": "dense", "weight": "no.such"}], "ParameterError", "no.such", "0"),
        ([], "ParameterError", "at least one layer", None),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(layers, exception, said, layer):
    with pytest.raises(getattr(dq.errors, exception), match=said) as refusal:
        dq.Model(3, layers)
    assert refusal.value.layer == layer and isinstance(refusal.value, dq.DahlquistError)


def test_a_file_that_is_no_model_is_told_what_it_is(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"PK\x03\x04" + b"\0" * 26 + b"archive/data.pkl")
    with pytest.raises(dq.errors.FormatError, match="net.pt.*from_torch"):
        dq.load(path)
    with pytest.raises(FileNotFoundError):
        dq.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros(6, np.float32), r"x\[None\]"),
        (np.zeros((2, 2, 3), np.float32), "reshape"),
        (np.zeros((2, 6), np.int64), "uint8"),
        (np.zeros((2, 6), np.complex64), "complex64"),
    ],
)
def test_samples_that_do_not_fit_are_refused(model, x, said):
    with pytest.raises(ValueError, match=said):
        model.predict(x)


def test_one_sample_and_a_batch_agree_but_for_the_last_bits(model, rng):
    x = rng.normal(size=(64, 6)).astype(np.float32)
    alone = np.concatenate([model.predict(row[None]) for row in x])
    np.testing.assert_allclose(alone, model.predict(x), rtol=1e-5, atol=1e-6)


def test_a_state_dict_with_normalization(rng):
    w, gamma, beta, mean = rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=3), rng.normal(size=3)
    var = rng.uniform(0.5, 2, size=3)
    state = {"fc.weight": w, "bn.weight": gamma, "bn.bias": beta, "bn.running_mean": mean, "bn.running_var": var}
    layers = [{"type": "dense", "weight": "fc.weight"}, {"type": "batch_norm", "name": "bn"}]
    model = dq.from_state_dict(layers, {"state_dict": state}, 2)
    x = rng.normal(size=(4, 2))
    expected = (x @ w.T - mean) / np.sqrt(var + 1e-5) * gamma + beta
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)
    with pytest.raises(dq.UnsupportedError, match="fc.wieght.*fc.weight"):
        dq.from_state_dict([{"type": "dense", "weight": "fc.wieght"}], state, 2)


def test_the_mean_of_an_image_and_its_mirror_image(rng):
    w, head = rng.normal(size=(4, 2, 3, 3)).astype(np.float32), rng.normal(size=(3, 64)).astype(np.float32)
    layers = [{"type": "conv2d", "weight": w, "padding": 1}, {"type": "activation", "function": "relu"}, {"type": "flatten"}]
    alone = dq.Model((2, 4, 4), [*layers, {"type": "dense", "weight": head}])
    both = alone.mirror_mean()
    x = rng.normal(size=(5, 2, 4, 4)).astype(np.float32)
    # A head without a bias: the mean of features has the mean of the logits.
    expected = (alone.predict(x) + alone.predict(x[..., ::-1].copy())) / 2
    np.testing.assert_allclose(both.predict(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(both.predict(x[..., ::-1].copy()), both.predict(x), rtol=1e-4, atol=1e-5)
    assert both.seal().lipschitz <= alone.seal().lipschitz * (1 + 1e-6)
    with pytest.raises(ValueError, match="before its last|before that"):
        dq.Model(2, [{"type": "dense", "weight": head[:, :2]}]).mirror_mean()


def test_weights_in_half_precision(model, rng, tmp_path):
    half = model.half()
    assert all(tensor.dtype == np.float16 for tensor in half.tensors.values())
    half.save(tmp_path / "half.safetensors")
    again, x = dq.load(tmp_path / "half.safetensors"), rng.normal(size=(4, 6)).astype(np.float32)
    assert again.sha256 == half.sha256 and again.dtype == np.float32
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=2e-2, atol=2e-2)
    # Exactly the rounded numbers.
    wide = {name: tensor.astype(np.float32) for name, tensor in half.tensors.items()}
    np.testing.assert_array_equal(dq.Model(6, half.architecture["layers"], wide).predict(x), again.predict(x))
    with pytest.raises(ValueError, match="65504"):
        dq.Model(1, [{"type": "dense", "weight": np.float32([[1e6]])}]).half()


def test_given_tensors_keep_their_numbers():
    """An array that is named by its place does not take the name of a tensor that is given."""
    three = dq.Model(1, [{"type": "dense", "weight": np.float32([[3]])}])
    both = dq.Model(1, [{"type": "dense", "weight": np.float32([[5]])}, *three.architecture["layers"]], three.tensors)
    assert both.predict(np.float32([[1]])) == [[15]]


def test_a_copy_of_a_model_is_the_model_and_is_proved_again(model):
    sealed = model.seal(norm_proof="tight")
    for again in (pickle.loads(pickle.dumps(sealed)), copy.deepcopy(sealed)):
        assert again.lipschitz == sealed.lipschitz and again.model.sha256 == model.sha256
        assert again.certificate == sealed.certificate
    with pytest.raises(TypeError, match="save certificate"):
        pickle.dumps(sealed.certify(np.ones((1, 6), np.float32)))


def test_numbers_of_numpy_are_numbers():
    layer = {"type": "activation", "function": "leaky_relu", "slope": np.float32(0.25)}
    assert dq.Model(np.int64(2), [layer]).predict(np.float32([[-4, 4]])).tolist() == [[-1, 4]]
    with pytest.raises(dq.errors.ParameterError, match="a pair"):
        dq.Model(2, [layer], normalize=0.5)


def test_hints_say_what_to_do():
    model = dq.Model((3, 2, 4), [{"type": "flatten"}])
    with pytest.raises(dq.errors.ShapeError, match=r"transpose\(0, 3, 1, 2\)"):
        model.predict(np.zeros((5, 2, 4, 3)))
    for options in ({"steps": -1}, {"steps": 2.5}, {"starts": -1}):
        with pytest.raises(dq.errors.ParameterError, match="not negative"):
            model.attack(np.zeros((1, 3, 2, 4)), eps=0.1, **options)
    with pytest.raises(dq.errors.ParameterError, match="at least one sample"):
        model.seal().certify(np.zeros((0, 3, 2, 4)), [])
    dense = {"type": "dense", "weight": "fc.weight"}
    norm = {"type": "batch_norm", "name": "bn"}
    statistics = {"bn.running_mean": np.zeros(3), "bn.running_var": np.ones(3)}
    with pytest.raises(dq.UnsupportedError, match="has no 'fc.weight'"):
        dq.from_state_dict([dense, norm], statistics, 2)
    with pytest.raises(dq.UnsupportedError, match="needs the name of its statistics"):
        dq.from_state_dict([{"type": "batch_norm"}], statistics, 3)
    for part in ("fc.weight_v", "fc.weight_g"), ("fc.weight_orig",), ("fc.parametrizations.weight.original",):
        with pytest.raises(dq.UnsupportedError, match="what it is computed from"):
            dq.from_state_dict([dense], dict.fromkeys(part, np.eye(3, 2)), 2)
