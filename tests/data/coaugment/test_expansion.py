"""Expanded pictures: the subject passes through geometry and light alone, is never mirrored, and stays in the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from openmoon.data.coaugment import expansion
from openmoon.data.coaugment.backgrounds import KINDS, background
from openmoon.data.coaugment.cutout import cut_out
from openmoon.data.coaugment.expansion import Expansion, Job, draw_expansions, expand, run_all
from openmoon.data.coaugment.light import Light, draw_light, lit
from openmoon.data.coaugment.viewpoint import STRAIGHT, Viewpoint, corners_seen, draw_viewpoint, seen_from
from openmoon.data.images import load_limited

WIDTH, HEIGHT = 120, 90
OTHERS = [np.random.default_rng(n).integers(0, 255, (40, 30 + n, 3), np.uint8) for n in range(3)]


def photo() -> np.ndarray:
    """A patterned subject on white, red on its left and blue on its right."""
    picture = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    subject = np.random.default_rng(0).integers(0, 90, (50, 60, 3), np.uint8)
    subject[:, :30, 0], subject[:, 30:, 2] = 200, 200
    picture[20:70, 30:90] = subject
    return picture


def same(kind: str = "plain") -> Expansion:
    return Expansion(kind, 5, STRAIGHT, Light())


@pytest.mark.parametrize("kind", KINDS)
def test_under_no_geometry_and_no_light_the_inside_is_the_original_s(kind: str) -> None:
    cutout = cut_out(photo())
    expanded = expand(cutout, same(kind), OTHERS)
    inside = cutout.cover == 1
    assert inside.sum() > 2500
    np.testing.assert_array_equal(expanded[inside], photo()[inside])
    outside = cutout.cover == 0
    assert np.abs(expanded[outside].astype(int) - photo()[outside]).mean() > 10


@pytest.mark.parametrize("kind", KINDS)
def test_backgrounds_are_pictures_and_follow_from_the_generator(kind: str) -> None:
    first, again, other = (background(kind, 60, 80, np.random.default_rng(seed), OTHERS) for seed in (1, 1, 2))
    assert first.shape == (60, 80, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 255
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


views = st.integers(0, 10_000).map(lambda seed: draw_viewpoint(np.random.default_rng(seed)))
boxes = st.tuples(st.integers(0, 55), st.integers(0, 40), st.integers(60, WIDTH), st.integers(45, HEIGHT))


@given(views, boxes, st.tuples(*[st.booleans()] * 4))
def test_no_viewpoint_mirrors_and_held_sides_stay_at_the_edge(
    view: Viewpoint, box: tuple[int, int, int, int], touches: tuple[bool, bool, bool, bool]
) -> None:
    left, top, right, bottom = box
    box = (0 if touches[3] else left, 0 if touches[0] else top, WIDTH if touches[1] else right, HEIGHT if touches[2] else bottom)
    corners = corners_seen(view, (WIDTH, HEIGHT), box, touches)
    x, y = corners.T
    assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0  # the corners go round as they did
    for one, two in zip(corners, np.roll(corners, -1, 0), strict=True):
        assert np.hypot(*(two - one)) > 0.4 * min(WIDTH, HEIGHT)
    if not (touches[1] and touches[3]) and not (touches[0] and touches[2]):
        ends = (corners[:2, 1].max(), WIDTH - corners[1:3, 0].min(), HEIGHT - corners[2:, 1].min(), corners[[0, 3], 0].max())
        assert all(end < 1e-6 for end, held in zip(ends, touches, strict=True) if held)


@given(views)
def test_the_subject_stays_whole_and_unmirrored(view: Viewpoint) -> None:
    cutout = cut_out(photo())
    seen = seen_from(cutout, view)
    edge = np.concatenate([seen.cover[0], seen.cover[-1], seen.cover[:, 0], seen.cover[:, -1]])
    assert edge.max() < 0.05
    red, _, blue = (seen.light > 120).transpose(2, 0, 1)
    assert np.nonzero(red & ~blue)[1].mean() < np.nonzero(blue & ~red)[1].mean()


def test_a_straight_view_gives_the_same_arrays() -> None:
    cutout = cut_out(photo())
    assert seen_from(cutout, STRAIGHT) is cutout


def test_light_changes_all_pixels_alike() -> None:
    scene = np.full((4, 4, 3), 100, np.float32)
    np.testing.assert_array_equal(lit(scene, Light()), scene)
    np.testing.assert_allclose(lit(scene, Light(exposure=1.1, warmth=0.05))[0, 0], [115.5, 110, 104.5], rtol=1e-5)


def test_a_shadow_falls_on_the_background_alone() -> None:
    cutout = cut_out(photo())
    dark = expand(cutout, Expansion("plain", 5, STRAIGHT, Light(shadow=0.4, shadow_y=0.05)))
    plain = expand(cutout, same())
    inside = cutout.cover == 1
    np.testing.assert_array_equal(dark[inside], plain[inside])
    assert (dark.astype(int) <= plain).all()
    assert dark[72, 60].sum() < plain[72, 60].sum() - 20


def test_drawing_depends_on_seed_and_product_alone() -> None:
    names = [f"{n}.jpg" for n in range(8)]
    drawn = draw_expansions("p7", 4, 3, names)
    assert drawn == draw_expansions("p7", 4, 3, names)
    assert drawn[:2] == draw_expansions("p7", 2, 3, names)
    assert {one.background for one in drawn} == set(KINDS)
    assert drawn != draw_expansions("p7", 4, 4, names)
    assert drawn != draw_expansions("p8", 4, 3, names)
    assert "scene" not in {e.background for e in draw_expansions("p7", 6, 3, names[:2])}
    lights = [draw_light(np.random.default_rng(seed)) for seed in range(50)]
    assert all(0.8 < light.exposure < 1.2 for light in lights)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_files_are_named_by_content_and_failures_give_reasons(tmp_path: Path, kind: str) -> None:
    Image.fromarray(photo()).save(tmp_path / "good.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)).save(tmp_path / "busy.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    drawn = tuple(draw_expansions("p", 2, 0, []))
    jobs = [Job(tmp_path / f"{name}.png", drawn, {}, tmp_path / "out", kind) for name in ("good", "busy", "broken", "gone")]
    outcomes = dict(run_all(jobs, workers=1))
    assert [Path(name).suffix for name in outcomes[0]] == [{"jpeg": ".jpg", "webp": ".webp"}[kind]] * 2
    assert outcomes[1].startswith("busy border")
    assert outcomes[2].startswith("picture not a picture")
    assert outcomes[3].startswith("picture cannot be read")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    assert len(before) == 2
    assert dict(run_all(jobs, workers=1)) == outcomes
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before


def test_worker_processes_make_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "_WORTH_A_WORKER", 5)
    Image.fromarray(photo()).save(tmp_path / "good.png")
    jobs = [Job(tmp_path / "good.png", tuple(draw_expansions(f"p{n}", 1, 0, [])), {}, tmp_path / "out") for n in range(17)]
    assert dict(run_all(jobs, workers=2)) == dict(run_all(jobs, workers=1))


def test_a_viewpoint_turns_scales_tilts_and_shifts() -> None:
    def corners(view: Viewpoint) -> np.ndarray:
        return corners_seen(view, (WIDTH, HEIGHT), (40, 30, 80, 60), (False,) * 4)

    def sides(view: Viewpoint) -> np.ndarray:
        return np.hypot(*(np.roll(corners(view), -1, 0) - corners(view)).T)

    np.testing.assert_allclose(sides(Viewpoint(scale=0.8)), [0.8 * WIDTH, 0.8 * HEIGHT] * 2, rtol=1e-6)
    left, right, *_ = corners(Viewpoint(angle=9.0))
    assert abs(np.degrees(np.arctan2(*(right - left)[::-1]))) == pytest.approx(9)
    for tilt, (one, opposite) in (((0.09, 0.0), (1, 3)), ((0.0, 0.09), (0, 2))):
        shorter, longer = sorted(sides(Viewpoint(tilt=tilt))[[one, opposite]])
        assert shorter / longer == pytest.approx(0.91 / 1.09, abs=0.01)
    near, far = (corners(Viewpoint(scale=0.8, shift=(shift, 0.0)))[:, 0].mean() for shift in (-0.9, 0.9))
    assert far - near > 20


def test_shadows_fall_where_the_light_says() -> None:
    cutout = cut_out(photo())
    to_left, to_right = (
        expand(cutout, Expansion("plain", 5, STRAIGHT, Light(shadow=0.4, shadow_x=x))).astype(int).sum(2) for x in (-0.1, 0.1)
    )
    assert to_right[45, 94] < to_left[45, 94]
    assert to_right[45, 26] > to_left[45, 26]


def test_pictures_are_made_smaller_never_larger(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(tmp_path / "a.png")
    assert load_limited(tmp_path / "a.png", 150).shape == (100, 150, 3)
    assert load_limited(tmp_path / "a.png", 500).shape == (200, 300, 3)
