"""The CTR page: whole, self-contained, safe against names, and right about what vectors are worth however that turns out."""

import re

import pytest
from typer.testing import CliRunner

from openmoon.cli import app
from openmoon.ctr.results import CtrResult, Figures, Gain, Slice, System
from openmoon.ctr.slices import NEW_PRODUCTS
from openmoon.errors import UserError
from openmoon.report.ctr import write_ctr_page
from openmoon.report.ctr_headline import headline, signed
from openmoon.report.ctr_plots import calibration_chart, decile_chart, gain_chart, looks, prefix_chart
from openmoon.report.ctr_tables import head_and_tail, leakage, overall, slice_table
from tests.report.test_page import Page

EVIL = "<b>$evil$</b>"
CODES = {"collisions": 0.125, "used": [1.0, 0.5], "prefix_cosine": [0.1, None, 0.9]}
CURVE = {"predicted": [0.01, 0.2], "observed": [0.0, 0.25], "rows": [50, 50], "error": 0.03}


def figures(auc, pcoc=1.0):
    return Figures(auc=auc, gauc=auc, log_loss=1 - (auc or 0), pcoc=pcoc)


def part(auc, rows=400, chosen=40):
    return Slice(rows=rows, chosen=chosen, figures=figures(auc))


def cut(auc, new=None):
    deciles = {f"decile {number}": part(auc + number / 100) for number in range(1, 11)}
    return {
        "product": {NEW_PRODUCTS: new or part(auc), "known to training": part(auc)}, "impressions": deciles,
        "exposure class": {"tail (lower half)": part(auc), "head (top fifth)": part(auc + 0.1)},
        "category": {"Shoes & <i>boots</i>": part(auc)},
    }  # fmt: skip


def system(*aucs, gain=None, new_gain=None, unknown_gain=None, **more):
    seeds = {str(seed): figures(auc) for seed, auc in enumerate(aucs)}
    return System(seeds=seeds, slices=cut(aucs[0]), calibration=CURVE, gain=gain, new_gain=new_gain,
                  unknown_gain=unknown_gain, **more)  # fmt: skip


def made(systems, reference="din", seeds=(0, 1)):
    models = [name for name in systems if "only" not in name]
    return CtrResult(
        recipe={"name": "toy & co", "ctr": {"models": models, "seeds": [*seeds]}},
        counts={"impressions": 12345, "in test": 400}, candidates="abc123", reference=reference, coverage=0.987,
        systems=systems, seconds=1.5, versions={"python": "3.11"}, machine={"cores": 2},
    )  # fmt: skip


@pytest.fixture
def result():
    better, worse = Gain(gauc=0.0512, low=0.04, high=0.06), Gain(gauc=-0.03, low=-0.05, high=-0.01)
    leaks = {"v": 0.25, "v_adjusted": 0.125}
    return made({
        "popularity only": system(0.52), "din": system(0.6, 0.62, rows_per_s=21656.0),
        "cube": system(0.66, 0.65, gain=better, new_gain=worse, unknown_gain=better, rows_per_s=5432.0, leakage=leaks),
        EVIL: system(0.5, 0.5, gain=worse, new_gain=worse, leakage=leaks, facts={"codes": CODES}),
    })  # fmt: skip


def shown(result, tmp_path):
    write_ctr_page(result, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    return html, Page(html)


def sentences(result):
    return " ".join(headline(result).sentences)


def test_page_is_whole_and_self_contained(tmp_path, result):
    html, page = shown(result, tmp_path)
    assert page.open == []
    links = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not re.search(r"<script|<b>|<i>|url\(|@import", html)
    pictures, alts = ([value for tag, name, value in page.attributes if (tag, name) == ("img", one)] for one in ("src", "alt"))
    assert len(pictures) == len(alts) == 3 + 1 + 2 + 1
    assert all(alts)
    text = " ".join(page.text)
    for expected in (
        "toy & co", "12,345", "98.7%", "abc123", "0, 1", "+0.0512", "[+0.0400, +0.0600]", "−0.0300", "0.6550 ± 0.0071", "21,656",
        "Shoes & <i>boots</i>", "12.5%", "50.0%", "0.125", "models:", "3.11", "10.0%", "best of 2",
    ):  # fmt: skip
        assert expected in text
    assert all(name in text for name in result.systems)
    anchors = {value[1:] for _, name, value in page.attributes if name == "href"}
    assert anchors <= {value for _, name, value in page.attributes if name == "id"}


def test_the_same_result_gives_the_same_bytes(tmp_path, result):
    first, _ = shown(result, tmp_path)
    assert shown(result, tmp_path)[0] == first


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        (lambda found: setattr(found.systems["cube"].gain, "gauc", 0.0987), "+0.0987"),
        (lambda found: setattr(found.systems["cube"].new_gain, "low", -0.0765), "−0.0765"),
        (lambda found: setattr(found.systems["cube"].unknown_gain, "high", 0.0876), "+0.0876"),
        (lambda found: setattr(found.systems["popularity only"].seeds["0"], "pcoc", 1.234), "1.234"),
        (lambda found: setattr(found.systems["din"].slices["category"]["Shoes & <i>boots</i>"].figures, "auc", 0.777), "0.777"),
        (lambda found: found.systems["cube"].calibration.update(error=0.0432), "0.0432"),
        (lambda found: found.systems["cube"].leakage.update(v=0.555), "0.555"),
        (lambda found: found.counts.update(clicks=98765), "98,765"),
        (lambda found: found.systems["cube"].facts.update(content_val=[{"auc": 0.7654}, {"auc": None}]), "0.765"),
    ],
)
def test_every_figure_comes_from_the_result(tmp_path, result, change, figure):
    before = " ".join(shown(result, tmp_path)[1].text)
    change(result)
    assert figure not in before
    assert figure in " ".join(shown(result, tmp_path)[1].text)


@pytest.mark.parametrize(
    ("gain", "new", "expected"),
    [
        ((0.05, 0.04, 0.06), (0.03, 0.01, 0.05), ["Vectors help: cube", "is ahead of din too"]),
        ((0.05, 0.04, 0.06), (-0.03, -0.05, -0.01), ["Vectors help", "cube is behind din"]),
        ((0.01, -0.01, 0.03), (0.01, -0.1, 0.1), ["cannot be told from chance", "cannot be told apart"]),
        ((-0.05, -0.06, -0.04), (0.03, 0.01, 0.05), ["Vectors do not help", "however, cube is ahead"]),
        ((0.05, 0.04, 0.06), None, ["On new products the gain is undefined (400 impressions of them, 40 chosen"]),
    ],
)
def test_the_headline_is_right_either_way(gain, new, expected):
    both = [Gain(gauc=one[0], low=one[1], high=one[2]) if one else None for one in (gain, new)]
    found = sentences(made({"din": system(0.6), "cube": system(0.65, gain=both[0], new_gain=both[1])}))
    for words in expected:
        assert words in found
    assert signed(gain[0]) in found
    assert ("Vectors help" in found) == (gain[1] > 0)


def test_the_best_model_with_vectors_is_in_the_headline_and_better_id_models_are_named():
    def of(value):
        return Gain(gauc=value, low=value - 0.01, high=value + 0.01)

    found = made({"din": system(0.6), "dnn": system(0.9, gain=of(0.3)), "make": system(0.6, gain=of(0.03)),
                  "cube": system(0.65, gain=of(0.05))})  # fmt: skip
    assert [card.figure for card in headline(found).cards] == ["+0.0500", "undefined"]
    assert "dnn, without vectors, is itself +0.3000" in sentences(found)


def test_without_a_reference_nothing_is_claimed(tmp_path):
    found = made({"dnn": system(0.6), "cube": system(0.65)}, reference=None)
    _, page = shown(found, tmp_path)
    text = " ".join(page.text)
    assert "cannot be said: the id-only model that gains are measured against, din, is not among" in text
    assert "The highest GAUC is 0.6500, of cube." in text
    assert "there are no gains" in text
    assert "Vectors help" not in text


def test_without_vectors_there_is_nothing_to_hold_against_the_reference(tmp_path):
    found = made({"din": system(0.6)}).model_copy(update={"coverage": None})
    text = " ".join(shown(found, tmp_path)[1].text)
    assert "No model of the recipe uses vectors" in text
    assert "no vectors used" in text
    assert "No system reads vectors." in text
    assert "Only the reference was trained, so there are no gains." in text


def test_one_seed_has_no_deviation(tmp_path):
    gain = Gain(gauc=0.05, low=0.04, high=0.06)
    text = " ".join(shown(made({"din": system(0.6), "cube": system(0.65, gain=gain)}, seeds=[0]), tmp_path)[1].text)
    assert "one seed was trained" in text
    assert "0.6500" in text
    assert "0.6500 ±" not in text


def test_what_is_undefined_says_so_and_why(tmp_path):
    nothing = Figures(auc=None, gauc=None, log_loss=0.5, pcoc=None)
    empty = System(seeds={"0": nothing}, slices=cut(0.5, Slice(rows=7, chosen=0, figures=nothing)), calibration=None,
                   leakage={"v": None, "v_adjusted": None})  # fmt: skip
    found = made({"din": empty, "cube": empty})
    _, page = shown(found, tmp_path)
    text = " ".join(page.text)
    assert [entry.text for entry in overall(found).rows["cube"][1:6]] == ["undefined"] * 2 + ["0.5000"] + ["undefined"] * 2
    for reason in (
        "undefined: AUC needs", "undefined: GAUC needs", "undefined: PCOC divides", f"undefined for {NEW_PRODUCTS}: GAUC needs",
        "No calibration curve", "fewer than 50 products", "No gain over the id-only model din is known",
    ):  # fmt: skip
        assert reason in text
    assert "undefined: LogLoss" not in text


def test_a_result_without_slices_has_a_page(tmp_path):
    bare = System(seeds={"0": figures(0.6)}, slices={}, calibration=None)
    text = " ".join(shown(made({"din": bare, "cube": bare}), tmp_path)[1].text)
    assert "No decile was measured." in text
    assert "No slice was measured." in text
    assert "no test impression is of such a product" in text


def test_the_best_model_is_marked_and_baselines_do_not_compete():
    found = made({"position only": system(0.9), "din": system(0.6), "cube": system(0.65)})
    assert [name for name, row in overall(found).rows.items() if row[1].best] == ["cube"]
    table = slice_table(found, "product", "log_loss")
    assert [name for name, row in table.rows.items() if row[0].best] == ["cube"]
    assert table.facts == {"impressions": ["400", "400"], "chosen": ["10.0%", "10.0%"]}
    found.systems["din"].slices["product"][NEW_PRODUCTS].figures.pcoc = 0.9
    found.systems["cube"].slices["product"][NEW_PRODUCTS].figures.pcoc = 1.3
    assert [name for name, row in slice_table(found, "product", "pcoc").rows.items() if row[0].best] == ["din"]
    alike = made({"din": system(0.6), "cube": system(0.6)})
    assert not any(entry.best for row in overall(alike).rows.values() for entry in row)


def test_baselines_that_are_absent_are_not_explained(tmp_path):
    def text(*names):
        return " ".join(shown(made({name: system(0.6) for name in names}), tmp_path)[1].text)

    assert "baselines do not compete: “position only” knows the place" in text("din", "position only")
    assert "baselines do not compete. PCOC" in text("din", "popularity only")
    assert "the best model is bold. PCOC" in text("din")


def test_head_and_tail_say_how_far_apart_they_are(result):
    table = head_and_tail(result)
    assert [entry.text for entry in table.rows["din"]] == ["0.700", "0.600", "+0.100", "1.000", "1.000"]


def test_systems_with_the_same_vectors_share_a_row_of_leakage(result):
    (row,) = leakage(result).rows.items()
    assert (row[0], [entry.text for entry in row[1]]) == (f"cube, {EVIL}", ["0.250", "0.125"])


def test_plots_say_in_words_what_they_show(result):
    gains = gain_chart(result, "All products", lambda one: one.gain)
    assert gains.alt == f"All products, 95% intervals: cube +0.0512 [+0.0400, +0.0600]; {EVIL} −0.0300 [−0.0500, −0.0100]"
    assert decile_chart(result, "auc").alt.startswith("AUC by exposure, first to last decile: popularity only 0.530 to 0.620; ")
    prefixes = prefix_chart("x", [0.1, None, 0.9])
    assert prefixes.alt == "Mean cosine of products, x: 0 shared 0.100, 1 shared undefined, 2 shared 0.900"
    assert prefix_chart("x", [None]) is None
    assert "ECE: din 0.0300; cube 0.0300" in calibration_chart(result).alt


def test_calibration_is_drawn_on_the_axes_that_fit(result):
    assert calibration_chart(result).note == "logarithmic axes, bins with nothing chosen left out: 3"
    for one in result.systems.values():
        one.calibration = {"predicted": [0.1, 0.2], "observed": [0.0, 0.25], "rows": [5, 5], "error": 0.1}
    assert calibration_chart(result).note == "linear axes"


def test_systems_look_different(result):
    many = made({"din": system(0.6), **{f"model {number}": system(0.6) for number in range(20)}})
    assert len({(one.colour, str(one.dash)) for one in looks(many).values()}) == 21


def test_the_verb_reads_the_evaluation_alone(tmp_path, result):
    (tmp_path / "toy.yaml").write_text(f"name: toy\nworkdir: {tmp_path}\ndata: {{root: {tmp_path}/absent}}\n")
    result.save(tmp_path / "ctr" / "evaluation.json")
    answer = CliRunner().invoke(app, ["ctr", "report", str(tmp_path / "toy.yaml")])
    assert answer.exit_code == 0, answer.output
    assert "toy &amp; co" in (tmp_path / "ctr" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [None, "nonsense", "{}"])
def test_a_missing_or_broken_evaluation_is_told(tmp_path, content):
    path = tmp_path / "evaluation.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"evaluation\.json: no.* results of CTR models"):
        CtrResult.load(path)
