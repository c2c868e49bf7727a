"""The subject keeps its own pixels and its print; pictures without a clean subject are refused with the reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from openmoon.data.coaugment.cutout import NoSubject, cut_out

SIDE = 160
Y, X = np.mgrid[:SIDE, :SIDE]


def studio(
    mask: npt.NDArray[np.bool_], colour: tuple[int, int, int] = (180, 40, 30), shadow: float = 0.0
) -> npt.NDArray[np.uint8]:
    """A flat subject on a white background that darkens a little to the right, with a soft shadow below."""
    background = np.repeat((250 - 4 * X / SIDE)[..., None], 3, 2)
    centre = np.hypot(X - np.nonzero(mask)[1].mean(), 2 * (Y - np.nonzero(mask)[0].max()))
    background *= (1 - shadow * np.exp(-((centre / 40) ** 2)))[..., None]
    return np.where(mask[..., None], colour, background).astype(np.uint8)


def rectangle(top: int, left: int, bottom: int, right: int) -> npt.NDArray[np.bool_]:
    return (top <= Y) & (bottom > Y) & (left <= X) & (right > X)


BOX = rectangle(40, 50, 120, 110)


@pytest.mark.parametrize("shadow", [0.0, 0.25])
def test_the_subject_is_found_and_a_soft_shadow_is_not_part_of_it(shadow: float) -> None:
    picture = studio(BOX, shadow=shadow)
    cutout = cut_out(picture)
    inside = cutout.cover == 1
    assert (inside & BOX).sum() > 0.9 * BOX.sum()
    assert (cutout.cover > 0).sum() < 1.1 * BOX.sum()
    assert not (inside & ~BOX).any()
    np.testing.assert_array_equal(cutout.light[inside], picture[inside])
    assert cutout.touches == (False, False, False, False)


def test_print_in_the_background_s_colour_stays_and_a_hole_goes() -> None:
    picture = studio(BOX)
    letter, hole = rectangle(50, 55, 54, 105), rectangle(85, 65, 110, 95)
    picture[letter | hole] = picture[0, 80]
    cover = cut_out(picture).cover
    assert (cover[50:54, 60:100] == 1).all()
    assert (cover[90:105, 70:90] == 0).all()


def test_a_subject_that_runs_out_of_the_picture_says_where() -> None:
    assert cut_out(studio(rectangle(60, 40, SIDE, 120))).touches == (False, False, True, False)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8), "busy border"),
        (studio(rectangle(70, 70, 90, 90)), "hardly a subject"),
        (np.full((SIDE, SIDE, 3), 200, np.uint8), "hardly a subject"),
        (studio(rectangle(50, 0, SIDE, 150), (30, 60, 90)), "touches too much of the border"),
        (np.clip(studio(BOX, (246, 246, 246)) + np.random.default_rng(0).normal(0, 3, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8),
         "unclear|hardly a subject"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_out_is_refused_with_the_reason(picture: npt.NDArray[np.uint8], reason: str) -> None:
    with pytest.raises(NoSubject, match=reason):
        cut_out(picture)


def test_a_part_that_is_hardly_told_from_the_background_refuses_the_picture() -> None:
    sleeve = rectangle(40, 80, 120, 110)
    picture = studio(rectangle(40, 30, 120, 80) | sleeve)
    picture[sleeve] = np.where((Y % 7 < 2) & (X % 7 < 2), 200, 238)[sleeve][:, None]  # white cloth with dots
    with pytest.raises(NoSubject, match="a part of the subject has the background's colour"):
        cut_out(picture)


def test_a_subject_that_falls_apart_refuses_the_picture() -> None:
    picture = studio(rectangle(30, 40, 80, 120) | rectangle(100, 40, 140, 60))
    picture[80:100, 45:55] = 240  # what joins them is hardly there
    with pytest.raises(NoSubject, match="falls apart"):
        cut_out(picture)
    picture[80:100, 45:55] = picture[0, 0]  # two things side by side are as good as one
    assert (cut_out(picture).cover[110:130, 45:55] == 1).all()


@pytest.mark.parametrize(("box", "side"), [
    ((0, 60, 100, 110), "top"), ((50, 60, 110, SIDE), "right"), ((60, 60, SIDE, 110), "bottom"), ((50, 0, 110, 60), "left"),
])  # fmt: skip
def test_the_side_that_a_subject_runs_out_of_is_named(box: tuple[int, int, int, int], side: str) -> None:
    touched = cut_out(studio(rectangle(*box))).touches
    assert touched == tuple(name == side for name in ("top", "right", "bottom", "left"))


def test_before_its_own_background_a_cut_out_is_the_picture() -> None:
    picture = studio(BOX, (190, 170, 160))
    cutout = cut_out(picture)
    soft = (cutout.cover > 0) & (cutout.cover < 1) & (cutout.light > 0).all(2)
    assert soft.sum() > 50
    again = cutout.light + (1 - cutout.cover[..., None]) * (250 - 4 * X / SIDE)[..., None]
    np.testing.assert_allclose(again[soft], picture[soft], atol=3)
