import pytest
import torch

from lowdose.networks.declared import declaration
from lowdose.networks.exporting import small, to_onnx, to_program
from lowdose.networks.variants import VARIANTS, find_variant

# One of each architecture, and the variants whose layers are others.
NAMES = list({v.architecture: v.name for v in reversed(VARIANTS)}.values())
NAMES += ["ede-paper", "blind-spot-5", "lowdose-s", "dncnn-sbd"]


@pytest.fixture(params=NAMES)
def variant(request):
    return find_variant(request.param)


def test_a_program_computes_what_the_network_does(variant):
    if declaration(variant.name).exports["torch.export"] != "yes":
        pytest.skip(f"declared: {declaration(variant.name).exports['torch.export']}")
    network, example = small(variant)
    with torch.inference_mode():
        expected = network(example)
    program = to_program(network, example).module()
    torch.testing.assert_close(program(example), expected)


def test_onnxruntime_computes_what_the_network_does(variant, tmp_path):
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    declared = declaration(variant.name).exports["ONNX"]
    if declared != "yes":
        pytest.skip(f"declared: {declared}")
    network, example = small(variant)
    path = to_onnx(network, example, tmp_path / "network.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    session = onnxruntime.InferenceSession(path)
    image = torch.rand_like(example)
    (found,) = session.run(["denoised"], {"noisy": image.numpy()})
    with torch.inference_mode():
        expected = network(image)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)


def test_the_whole_network_is_one_graph_for_the_compiler(variant):
    # Without generating code, which needs a compiler of the machine.
    network, example = small(variant)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(example), network(example))


def test_bfloat16_and_channels_last_change_nothing_but_rounding(variant):
    network, example = small(variant)
    with torch.inference_mode():
        expected = network(example)
        last = network.to(memory_format=torch.channels_last)
        torch.testing.assert_close(
            last(example.contiguous(memory_format=torch.channels_last)),
            expected,
            rtol=1e-4,
            atol=1e-5,
        )
        with torch.autocast("cpu", torch.bfloat16):
            rounded = last(example).float()
    scale = expected.abs().max() + example.abs().max()
    assert (rounded - expected).abs().max() < 0.05 * scale
