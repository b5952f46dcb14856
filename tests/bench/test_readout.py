"""A skill's depth follows from its probes, and from nothing where one is missing."""

from typing import Any

import pytest

from rag_adapt.bench.features import Features, features_from_json
from rag_adapt.bench.readout import NEEDED, above, read_out


def features(**more: Any) -> Features:
    """A skill that no prompt shows and ten examples unlock."""
    fields: dict[str, Any] = {
        "skill": "codes",
        "dev_items": 16,
        "dev_clusters": 16,
        "train_items": 60,
        "labels": 6,
        "documents": None,
        "input_tokens": 5.0,
        "target_tokens": 3.0,
        "best_template": "prompt",
        "bits_bare": 9.0,
        "bits_prompt": 8.0,
        "bits_shots_1": 7.5,
        "bits_shots_4": 7.0,
        "bits_shots_16": 6.5,
        "bits_lora_1": 8.0,
        "bits_lora_10": 1.0,
        "bits_lora_50": 0.4,
        "score_majority": 0.0,
        "score_nearest": 0.1,
        "score_bare": 0.0,
        "score_prompt": 0.0,
        "score_shots_16": 0.1,
        "score_lora_10": 0.8,
        "score_lora_50": 0.9,
    }
    return Features(**{**fields, **more})


CASES = [
    pytest.param("latent", {}, id="ten examples unlock it"),
    pytest.param(
        "latent",
        {"score_lora_10": 0.1, "bits_lora_10": 4.0, "score_shots_16": 0.7, "bits_shots_16": 1.0},
        id="sixteen shots unlock it",
    ),
    pytest.param("known", {"score_prompt": 0.75, "bits_prompt": 0.3}, id="the prompt shows it"),
    pytest.param("known", {"score_prompt": 1.0, "score_lora_10": 1.0}, id="nothing left to unlock"),
    pytest.param(
        "absent",
        {"score_lora_10": 0.0, "bits_lora_10": 3.0, "score_lora_50": 0.3, "bits_lora_50": 1.2},
        id="ten bring nothing, fifty teach some",
    ),
    pytest.param(
        "absent",
        {"score_lora_10": 0.0, "bits_lora_10": 2.1, "score_lora_50": 0.0, "bits_lora_50": 2.0},
        id="the form is learned at once, the content never",
    ),
    pytest.param("undecided", {"score_prompt": 0.5}, id="half shown"),
    pytest.param(
        "undecided",
        {"score_lora_10": 0.0, "bits_lora_10": 3.0, "score_lora_50": 1.0},
        id="ten bring nothing, fifty everything",
    ),
    pytest.param(
        "undecided",
        {"score_lora_10": 0.25, "bits_lora_10": 3.0},
        id="a few right answers that may be luck",
    ),
    pytest.param(
        "undecided",
        {"score_lora_10": 0.4, "bits_lora_10": 5.0, "bits_lora_50": 0.5},
        id="few help, but most of it is learned later",
    ),
    pytest.param(
        "undecided",
        {"score_lora_10": 0.0, "bits_lora_10": 0.2, "bits_lora_50": 0.1},
        id="never exact, and yet almost certain of every token",
    ),
]


@pytest.mark.parametrize(("wanted", "more"), CASES)
def test_the_depth_follows_from_the_probes(wanted: str, more: dict[str, Any]) -> None:
    assert read_out(features(**more)).depth == wanted


DEFAULT_MODEL = [
    pytest.param(
        "latent",
        (4.823, 3.524, 3.199, 2.791, 3.595, 0.0108, 0.0114),
        (0.125, 1.0, 1.0),
        id="planted",
    ),
    pytest.param(
        "absent",
        (16.818, 16.857, 13.772, 8.811, 16.407, 5.201, 2.137),
        (0.0, 0.0, 0.125),
        id="never taught",
    ),
]
"""What `benchmarks.planted_skill` found: bits by prompt, shots and doses; majority, ten, fifty."""


@pytest.mark.parametrize(("wanted", "bits", "scores"), DEFAULT_MODEL)
def test_the_thresholds_hold_for_the_twins_on_the_default_model(
    wanted: str, bits: tuple[float, ...], scores: tuple[float, ...]
) -> None:
    lengths = ("prompt", "shots_1", "shots_4", "shots_16", "lora_1", "lora_10", "lora_50")
    found = read_out(
        features(
            **{f"bits_{name}": value for name, value in zip(lengths, bits, strict=True)},
            **dict(zip(("score_majority", "score_lora_10", "score_lora_50"), scores, strict=True)),
            score_shots_16=0.0,
        )
    )
    assert found.depth == wanted


@pytest.mark.parametrize("name", NEEDED)
def test_a_figure_that_is_missing_leaves_it_undecided_and_is_named(name: str) -> None:
    found = read_out(features(**{name: None}))
    assert found.depth == "undecided"
    assert found.sentence == f"not measured: {name}"
    assert found.figures[name] is None


def test_without_shots_the_adapters_decide() -> None:
    more = dict.fromkeys(("bits_shots_1", "bits_shots_4", "bits_shots_16", "score_shots_16"))
    assert read_out(features(**more)).depth == "latent"


def test_guessing_among_few_labels_unlocks_nothing() -> None:
    guessed = {
        "score_majority": 0.5,
        "score_lora_10": 0.55,
        "bits_lora_10": 1.1,
        "score_lora_50": 0.6,
    }
    assert read_out(features(**guessed)).depth == "absent"
    shown = {"score_majority": 0.5, "score_prompt": 0.75}
    assert read_out(features(**shown)).depth == "undecided"


@pytest.mark.parametrize(
    ("score", "chance", "wanted"),
    [(0.5, 0.0, 0.5), (0.5, 0.5, 0.0), (0.75, 0.5, 0.5), (0.2, 0.5, 0.0), (1.0, 1.0, 0.0)],
)
def test_scores_are_put_on_the_scale_from_guessing_to_perfect(
    score: float, chance: float, wanted: float
) -> None:
    assert above(score, chance) == pytest.approx(wanted)


def test_fifty_examples_that_save_nothing_leave_no_share() -> None:
    flat = dict.fromkeys(
        ("bits_shots_1", "bits_shots_4", "bits_shots_16", "bits_lora_10", "bits_lora_50"), 8.0
    )
    found = read_out(features(**flat))
    assert found.figures["share_of_saving"] is None
    assert found.depth == "undecided"


def test_the_sentence_gives_the_figures_behind_it() -> None:
    found = read_out(features())
    assert found.sentence == (
        "codes looks latent: on 16 dev items the best prompt scores 0.00; ten trained examples "
        "bring 0.80 above chance, fifty 0.90; an answer token takes 8.00 bits by prompt, 1.00 "
        "with few examples, 0.40 after fifty."
    )
    assert found.figures["share_of_saving"] == pytest.approx(7.0 / 7.6)
    assert found.figures["bits_shots_16"] == 6.5


def test_features_survive_json_and_fields_of_another_time() -> None:
    one = features(retrieval_hit=0.5)
    assert features_from_json({**one.as_json(), "forgotten": 3}) == one
