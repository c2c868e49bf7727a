"""The subject of a studio picture, cut out of its plain background by colour; pictures that have none are refused.

Background is what has the border's colour and is joined to the border, soft shadows on it included. How far a colour may be
off is found for each picture: of a ladder of tolerances the one is taken around which the outline moves least. A subject as
white as the studio has no such tolerance, and one that loses a part with an outline of its own on the way is refused too.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

from openmoon.data.regions import Mask, first_cell, grown, joined_to_border, one_region, shrunk, spread

Floats = npt.NDArray[np.float32]

TOLERANCES = (4.0, 7.0, 10.0, 13.0, 16.0, 19.0, 22.0)  # of 0–255
STUDIO = 24.0  # of 0–255: what differs less from the border's colour makes the border plain
PLAIN_BORDER = 0.5  # share of the border that the background must fill
DEEPEST = 0.7  # brightness of a shadow, as a share of the background's, at least
SMALLEST, LARGEST = 0.03, 0.95  # share of the picture that a subject covers
MOST_BORDER = 0.35  # share of the border that a subject may touch
UNSTEADY = 0.025  # share of the subject that may go with the next tolerance
SHADOW = 0.45  # share of what differs from the background that may turn out to be shadow
SHARP, LOST = 8.0, 0.0025  # contrast that no soft shadow has; share of the subject that may go and have it
LOOSE = 0.004  # share of the subject that may come off it
SAME = 3.0  # of 0–255: an enclosed area this near to the background may be a hole
THICK, LARGE, CLEAR = 0.04, 0.004, 0.4  # a hole's width / picture's, its area / picture's, its area at SAME / at the tolerance


class NoSubject(Exception):
    """The subject cannot be cut out cleanly; the message is the reason."""


class Cutout(NamedTuple):
    """A subject without its background, at the size of its picture.

    `light` (H, W, 3) float32 in 0–255 is the picture less the background's part in each pixel (premultiplied); `cover`
    (H, W) float32 in 0..1 is the subject's part: 1 inside, where `light` is the picture's own pixels. `touches` says
    whether the subject runs out of the picture at the top, right, bottom, left.
    """

    light: Floats
    cover: Floats
    touches: tuple[bool, bool, bool, bool]


class _Look(NamedTuple):
    """What tells subject from background, each (H, W)."""

    distance: Floats  # from the background's colour, 0–255
    hue: Floats  # the same for a pixel that a shadow may have darkened; 255 where none can have
    slope: Floats  # contrast to the neighbours, 0–255: a shadow's is low


def cut_out(picture: npt.NDArray[np.uint8]) -> Cutout:
    """Cut the subject out of `picture` (H, W, 3) uint8. Raises `NoSubject` with the reason."""
    pixels = picture.astype(np.float32)
    background = _background(pixels)
    look = _look(pixels, background)
    mask, like_background = _steadiest(look)
    mask = _without_rim(mask, look)
    mask &= ~_holes(mask, like_background, look.distance)
    sides = [mask[0], mask[:, -1], mask[-1], mask[:, 0]]
    if (share := float(mask.mean())) < SMALLEST:
        raise NoSubject("hardly a subject: too small a part differs from the background")
    if share > LARGEST:
        raise NoSubject("hardly a background: the subject fills the picture")
    if np.concatenate(sides).mean() > MOST_BORDER:
        raise NoSubject("the subject touches too much of the border")
    cover = _soft(mask)
    light = np.clip(pixels - (1 - cover[..., None]) * background, 0, 255)
    top, right, bottom, left = (bool(side.mean() > 0.01) for side in sides)
    return Cutout(light, cover, (top, right, bottom, left))


def _background(pixels: Floats) -> Floats:
    """The background (H, W, 3) behind the subject: a plane through the colours of the border. Raises `NoSubject`."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    place = np.stack([np.ones_like(x), x, y], 2)
    rim = max(2, min(height, width) // 100)
    border = np.ones((height, width), bool)
    border[rim:-rim, rim:-rim] = False
    places, colours = place[border], pixels[border]
    near = np.abs(colours - np.median(colours, 0)).max(1) < STUDIO
    for _ in range(2):
        if near.mean() < PLAIN_BORDER:
            raise NoSubject("busy border: no plain background")
        plane = np.linalg.lstsq(places[near], colours[near], rcond=None)[0]
        near = np.abs(colours - places @ plane).max(1) < STUDIO / 2
    return np.clip(place @ plane, 0, 255).astype(np.float32)


def _look(pixels: Floats, background: Floats) -> _Look:
    brightness = (pixels * background).sum(2) / np.maximum((background * background).sum(2), 1)
    hue = np.abs(pixels - brightness[..., None] * background).max(2)
    hue[(brightness < DEEPEST) | (brightness > 1.02)] = 255
    gray = pixels.mean(2).astype(np.uint8)
    contrast = ndimage.morphological_gradient(gray, 3, mode="nearest")
    return _Look(np.abs(pixels - background).max(2), hue, np.float32(0.5) * contrast)


def _steadiest(look: _Look) -> tuple[Mask, Mask]:
    """The subject at the tolerance around which it changes least, and what looks like background at that tolerance.

    Raises `NoSubject` where no tolerance is steady, or where the steady one takes more than a shadow away.
    """
    alike = [(look.distance < t) | ((look.hue < t / 2) & (look.slope < 1 + t / 3)) for t in TOLERANCES]
    masks = [_subject(like) for like in alike]
    areas = [max(1, int(mask.sum())) for mask in masks]
    change = [1 - after / before for before, after in pairwise(areas)]
    unsteady = [max(pair) for pair in pairwise(change)]  # of the tolerances but the first and the last
    best = int(np.argmin(unsteady)) + 1
    if unsteady[best - 1] > UNSTEADY:
        raise NoSubject("unclear outline: the subject is hardly told from the background")
    mask, lost = masks[best], masks[0] & ~masks[best]
    if lost.sum() > SHADOW * areas[0]:
        raise NoSubject("unclear outline: much of the subject has the background's colour")
    if (lost & ~grown(mask, 7) & (look.slope > SHARP)).sum() > LOST * areas[best]:
        raise NoSubject("unclear outline: a part of the subject has the background's colour")
    whole, main = one_region(masks[0]), one_region(mask)
    if (mask & ~main).sum() > (masks[0] & ~whole).sum() + LOOSE * areas[best]:
        raise NoSubject("unclear outline: the subject falls apart")
    return mask, alike[best]


def _subject(like_background: Mask) -> Mask:
    """What is not background joined to the border, without specks and hairs."""
    mask = ~joined_to_border(like_background)
    return spread(shrunk(mask, 5), mask)


def _without_rim(mask: Mask, look: _Look) -> Mask:
    """The mask without the background's colour along its outline, where contrast is that of subject and background together.

    Thin parts, which might be all outline, keep theirs.
    """
    broad = grown(shrunk(mask, 7), 7)
    outline = broad & ~shrunk(mask, 5)
    pale = outline & ((look.distance < TOLERANCES[-1]) | (look.hue < TOLERANCES[-1] / 2))
    return mask & ~spread(~mask, ~mask | pale)


def _holes(mask: Mask, like_background: Mask, distance: Floats) -> Mask:
    """Background seen through the subject, as in the handle of a mug.

    Only what is the background itself to within `SAME`, is thicker and larger than letters are, and ends where it ends at
    the tolerance too; everything else enclosed may be print, and stays.
    """
    same = (distance <= SAME) & mask
    width = max(3, round(THICK * min(mask.shape))) | 1
    cores = shrunk(same, width)
    found = np.zeros_like(mask)
    while cores.any():
        seed = first_cell(cores)
        plain, whole = spread(seed, same), spread(seed, (like_background | same) & mask)
        cores &= ~whole
        if plain.sum() >= max(LARGE * mask.size, CLEAR * whole.sum()):
            found |= whole
    return found


def _soft(mask: Mask) -> Floats:
    """The mask with an outline that is soft over two pixels and lies a little inside, to lose the fringe."""
    blurred = Image.fromarray(mask).convert("L").filter(ImageFilter.GaussianBlur(1.0))
    return np.clip(np.asarray(blurred, np.float32) / 127.5 - 0.85, 0, 1)
