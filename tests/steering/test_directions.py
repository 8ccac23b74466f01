import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import workbench as wb
from workbench.steering.directions import Direction, Directions

vectors = hnp.arrays("float32", st.integers(3, 40), elements=st.floats(-50, 50, width=32)).filter(
    lambda v: abs(v).max() > 0.01
)


def direction(vector, layer=1, **more):
    return Direction(torch.tensor(vector), wb.resid_post(layer), "tiny", activation_norm=7.5, **more)


@given(vectors, st.integers(0, 1000))
def test_controls_have_equal_norm_and_orthogonal_ones_have_dot_zero(vector, seed):
    d = direction(vector)
    for control in (d.random(seed), d.orthogonal(seed)):
        assert control.norm == pytest.approx(d.norm, rel=1e-5)
    assert abs(d.cosine(d.orthogonal(seed))) < 1e-5
    assert d.random(seed) == d.random(seed)


def test_controls_differ_by_seed_site_and_kind():
    d = direction([1.0] * 64)
    found = [d.random(0), d.random(1), d.orthogonal(0), direction([1.0] * 64, layer=2).random(0)]
    assert all(abs(a.cosine(b)) < 0.6 for i, a in enumerate(found) for b in found[:i])
    assert len({c.id for c in found}) == 4


@given(vectors)
def test_save_and_load_give_the_same_hash(tmp_path_factory, vector):
    d = direction(vector, method="mean_diff", n_positive=3, prompts="abc", read=wb.PROMPT[-1] | wb.PROMPT[:2])
    loaded = Direction.load(d.save(tmp_path_factory.mktemp("d") / "d.safetensors"))
    assert loaded.id == d.id
    assert loaded == d
    assert hash(loaded) == hash(d)
    assert loaded.read == d.read


def test_directions_round_trip_as_one_file(tmp_path):
    ds = Directions(tuple(direction([1.0, 2, layer], layer) for layer in range(12)))
    loaded = Directions.load(ds.save(tmp_path / "ds.safetensors"))
    assert loaded == ds
    assert list(loaded.frame()["layer"]) == list(range(12))
    with pytest.raises(wb.WorkbenchError, match="no direction for layer 99"):
        loaded[99]
    with pytest.raises(wb.WorkbenchError, match=r"Directions\.load"):
        Direction.load(tmp_path / "ds.safetensors")


def test_sign_scale_and_hash():
    d = direction([3.0, 4.0])
    assert (d.norm, (2 * d).norm, d.unit().norm) == (5.0, 10.0, pytest.approx(1.0))
    assert (-d).cosine(d) == pytest.approx(-1)
    assert (-d) * -1 == d
    assert (-d) != d
    assert d.relative_norm == pytest.approx(5 / 7.5)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([[1.0]], "one vector"),
        ([1.0, float("nan")], "1 NaN or infinite"),
        ([0.0, 0.0], "is zero"),
        ([float("inf")], "NaN or inf"),
    ],
)
def test_bad_vectors_are_refused(vector, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        direction(vector)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(wb.WorkbenchError, match="not a safetensors file"):
        Direction.load(tmp_path / "x.safetensors")
    with pytest.raises(wb.WorkbenchError, match="widths differ"):
        direction([1.0, 2]).cosine(direction([1.0, 2, 3]))


@given(vectors)
def test_json_reads_back_bit_for_bit(vector):
    d = direction(vector, method="mean_diff", n_positive=3, prompts="abc", read=wb.PROMPT[-1] | wb.PROMPT[:2])
    assert Direction.from_json(d.to_json()) == d


def test_control_vector_files_carry_the_keys_other_tools_read(tmp_path):
    import gguf

    ds = Directions(tuple(direction([1.0, 2, layer], layer) for layer in (1, 2, 11)))
    path = ds.to_gguf(tmp_path / "v.gguf", model_hint="llama")
    reader = gguf.GGUFReader(path)
    assert reader.get_field("general.architecture").contents() == "controlvector"
    assert reader.get_field("controlvector.model_hint").contents() == "llama"
    assert reader.get_field("controlvector.layer_count").contents() == 3
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert set(found) == {"direction.1", "direction.2", "direction.11"}
    assert found["direction.11"].tensor_type == gguf.GGMLQuantizationType.F32
    assert list(found["direction.11"].data) == [1.0, 2.0, 11.0]
    assert Directions.from_gguf(path) == ds
    assert Direction.from_gguf(ds[2].to_gguf(tmp_path / "one.gguf")) == ds[2]
    with pytest.raises(wb.WorkbenchError, match="layers 1, 2, 11"):
        Direction.from_gguf(path)


def test_control_vectors_of_other_tools_are_read(tmp_path):
    import gguf

    writer = gguf.GGUFWriter(str(tmp_path / "theirs.gguf"), "controlvector")
    writer.add_string("controlvector.model_hint", "mistral")
    writer.add_uint32("controlvector.layer_count", 1)
    writer.add_tensor("direction.7", torch.tensor([1.0, 2, 3]).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    d = Direction.from_gguf(tmp_path / "theirs.gguf", model="tiny")
    assert (d.site, d.model, d.vector.tolist()) == (wb.resid_post(7), "tiny", [1, 2, 3])
    assert Directions.from_gguf(tmp_path / "theirs.gguf")[7].model == "mistral"
    with pytest.raises(wb.WorkbenchError, match="activation norm"):
        wb.add(d, ratio=0.1)


def test_what_a_control_vector_file_cannot_hold_is_refused(tmp_path):
    for site in (wb.resid_post(0), wb.attn_out(3)):
        with pytest.raises(wb.WorkbenchError, match="layers 1 and up"):
            Direction(torch.ones(3), site, "tiny").to_gguf(tmp_path / "x.gguf")
    (tmp_path / "no.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(wb.WorkbenchError, match="cannot be read as GGUF"):
        Direction.from_gguf(tmp_path / "no.gguf")
    for broken in ("{}", "[1]", '{"vector": "!!"}'):
        with pytest.raises(wb.WorkbenchError):
            Direction.from_json(broken)


@pytest.mark.parametrize("kind", ["Q8_0", "F16", "BF16"])
def test_quantised_control_vectors_are_read_as_numbers(tmp_path, kind):
    import gguf

    kind = gguf.GGMLQuantizationType[kind]
    vector = np.linspace(-1, 1, 64, dtype=np.float32)
    writer = gguf.GGUFWriter(str(tmp_path / "v.gguf"), "controlvector")
    writer.add_string("controlvector.model_hint", "llama")
    for layer in (1, 2):
        writer.add_tensor(f"direction.{layer}", gguf.quantize(vector * layer, kind), raw_dtype=kind)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    ds = Directions.from_gguf(tmp_path / "v.gguf")
    assert ds.layers == (1, 2)
    np.testing.assert_allclose(ds[2].vector.numpy(), 2 * vector, atol=0.02)


def test_control_vectors_of_several_widths_are_refused(tmp_path):
    import gguf

    writer = gguf.GGUFWriter(str(tmp_path / "v.gguf"), "controlvector")
    for layer in (1, 2):
        writer.add_tensor(f"direction.{layer}", np.ones(4 * layer, dtype=np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    with pytest.raises(wb.WorkbenchError, match="of widths 4, 8"):
        Directions.from_gguf(tmp_path / "v.gguf")
