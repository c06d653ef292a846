"""Written programs, run by what they are written for, against the model."""

import numpy as np
import onnxruntime
import pytest
import torch

from recbole_sigma.errors import RequestError
from recbole_sigma.export import programs
from recbole_sigma.export.encoder import Encoder
from tests.model.helpers import MAX_LENGTH, NUM_ITEMS, build_random, last_position

TOLERANCE = 1e-5


def load_onnx(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(one.name, one.type) for one in session.get_inputs()] == [("item_seq", "tensor(int64)")]

    def run(item_seq):
        (result,) = session.run(None, {"item_seq": item_seq.numpy()})
        assert result.dtype == np.float32
        return torch.from_numpy(result)

    return run


def load_torch(path):
    return torch.export.load(path).module()


FORMATS = {"onnx": (programs.write_onnx, load_onnx), "torch": (programs.write_torch, load_torch)}


def histories(max_length):
    """Batches of one and of seven, of every length and every width."""
    generator = torch.Generator().manual_seed(1)
    for width in range(1, max_length + 1):
        yield [torch.randint(1, NUM_ITEMS, (width,), generator=generator).tolist()]
    lengths = [*range(1, max_length + 1), max_length, 1]
    for start in range(0, len(lengths), 7):
        own = lengths[start : start + 7]
        yield [torch.randint(1, NUM_ITEMS, (length,), generator=generator).tolist() for length in own]


@torch.no_grad()
def check(name, format, tmp_path, scores=False, max_length=MAX_LENGTH, **settings):
    model = build_random(name, MAX_ITEM_LIST_LENGTH=max_length, **settings).float().eval()
    write, load = FORMATS[format]
    write(Encoder(model, scores), tmp_path / "file")
    run = load(tmp_path / "file")
    for batch in histories(max_length):
        rows = last_position(*([*history, 1] for history in batch))
        found = run(rows["item_id_list"])
        expected = model.full_sort_predict(rows)
        if not scores:
            assert found.shape[::2] == (len(batch), 8)
            found = (found @ model.item_vectors.T).amax(1)
        error = (found - expected).abs().max() / expected.abs().max()
        assert error <= TOLERANCE
        assert_same_order(found, expected, 2 * TOLERANCE * float(expected.abs().max()))


def assert_same_order(found, expected, least_gap):
    """Items are in the same order where the scores of the model are further apart than this."""
    best, order = expected.sort(1, descending=True)
    apart = best[:, :-1] - best[:, 1:] > least_gap
    by_found = found.gather(1, order)
    assert (by_found[:, :-1] > by_found[:, 1:])[apart].all()


CASES = [
    ("SIGMA", "onnx", {"scorer": "interests", "normalize_items": True, "scores": True}),
    ("SASRecAP", "torch", {"position": "absolute", "scores": True, "max_length": 1}),
]
SLOW_CASES = [
    ("SIGMA", "onnx", {}),
    ("SIGMA", "onnx", {"decoder_context": "interests", "position": "rotary", "history_average": 0}),
    ("SIGMA", "onnx", {"position": "absolute", "history_average": 0, "scores": True}),
    ("SIGMA", "onnx", {"prior": "standard", "max_length": 2}),
    ("SIGMA", "torch", {"decoder_context": "interests", "temperature": 0.5}),
    ("SIGMA", "torch", {"scorer": "interests", "history_average": 4}),
    ("SIGMA", "torch", {"decoder_context": "interests", "mixture_mask": True, "soft_interest": "mean", "scores": True}),
    ("SASRecAP", "onnx", {"position": "relative", "normalize_items": True}),
    ("SASRecAP", "torch", {"position": "rotary"}),
]


@pytest.mark.parametrize(
    "name, format, settings", [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW_CASES)], ids=str
)
def test_a_written_program_gives_what_the_model_gives(name, format, settings, tmp_path):
    check(name, format, tmp_path, **settings)


VARIANTS = [
    *({"position": position} for position in ("relative", "rotary", "absolute")),
    {"decoder_context": "interests", "position": "absolute"},
    {"decoder_context": "interests", "mixture_mask": True, "soft_interest": "mean"},
    {"scorer": "interests"},
    {"prior": "standard", "max_length": 2},
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "groups, normalize_items, scores", [(0, False, False), (0, True, True), (4, False, True), (4, True, False)]
)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_every_written_sigma_gives_what_the_model_gives(settings, format, groups, normalize_items, scores, tmp_path):
    settings = {**settings, "history_average": groups, "normalize_items": normalize_items, "scores": scores}
    check("SIGMA", format, tmp_path, **settings)


@pytest.mark.exhaustive
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("position", ["relative", "rotary", "absolute"])
@pytest.mark.parametrize("format", FORMATS)
def test_every_written_sasrec_ap_gives_what_the_model_gives(format, position, scores, tmp_path):
    check("SASRecAP", format, tmp_path, scores=scores, position=position, normalize_items=True)


def test_a_program_that_gives_something_else_is_refused():
    encoder = Encoder(build_random("SASRecAP").float().eval(), True)
    assert programs.difference(encoder, encoder.expected) == 0
    for wrong, message in (
        (lambda seq: encoder.expected(seq) + 0.1, "differs by .* of the largest value"),
        (lambda seq: encoder.expected(seq) * torch.nan, "differs by nan"),
        (lambda seq: encoder.expected(seq[:1]), r"gives \[1, 21\]; expected \[2, 21\]"),
    ):
        with pytest.raises(RequestError, match=message):
            programs.difference(encoder, wrong)
