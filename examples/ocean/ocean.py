#!/usr/bin/env python3
"""Sea-surface temperature by an energy balance: the example kernel in Python, on dc's module dcspool.

The same as ocean.c, step by step: the same options, the same climate (climate.h says where its formulas come from), the same
result. With numpy a step is a few operations on whole arrays; without it a loop. The state is two arrays of doubles
either way, of which the module copies nothing.
"""

import argparse
import array
import math
import sys

import dcspool

try:
    import numpy
except ImportError:
    numpy = None

DAYS_A_YEAR = 365
# Outgoing radiation A + B T: W/m2, and W/m2 a degree Celsius.
OUTGOING_A, OUTGOING_B = 203.3, 2.09
SOLAR_CONSTANT_W_M2 = 1361.0
ICE_ALBEDO, FREEZES, FROZEN = 0.40, -1.8, -31.8


def radians(degrees):
    return degrees * (math.pi / 180.0)


def latitude_deg(row, ny):
    return 90.0 - (row + 0.5) * (180.0 / ny)


def longitude_deg(column, nx):
    return -180.0 + (column + 0.5) * (360.0 / nx)


def insolation_w_m2(latitude, day):
    """Mean insolation at the top of the atmosphere over one day, 0 to 364."""
    turn = 2.0 * math.pi / DAYS_A_YEAR
    declination = radians(23.45) * math.sin(turn * (284 + day + 1))
    distance = 1.0 + 0.033 * math.cos(turn * (day + 1))
    phi = radians(latitude)
    cos_sunset = min(max(-math.tan(phi) * math.tan(declination), -1.0), 1.0)
    sunset = math.acos(cos_sunset)
    height = sunset * math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.sin(sunset)
    mean = SOLAR_CONSTANT_W_M2 / math.pi * distance * height
    return mean if mean > 0.0 else 0.0


def mixed_layer_m(longitude, latitude):
    lam, phi = radians(longitude), radians(latitude)
    return 45.0 + 15.0 * math.cos(lam - radians(150.0)) * math.cos(phi) + 10.0 * math.sin(phi) * math.sin(phi)


def heat_capacity(depth_m):
    """In J/m2 a degree, of sea water."""
    return 1025.0 * 3990.0 * depth_m


def open_albedo(latitude):
    x = math.sin(radians(latitude))
    return 0.30 + 0.08 * (1.5 * x * x - 0.5)


class Sea:
    """The sea cells of this subtask's block, row by row."""

    def __init__(self, path):
        if path:
            dcspool.domain(path)
        self.grid, self.block = dcspool.grid(), dcspool.block()
        if self.grid is None or self.block is None:
            raise dcspool.DomainError("there is no mask; use dcrun --domain MASK, or by hand --domain MASK")
        width, mask = self.block.width, dcspool.mask()
        self.first, self.column = [0], []
        for row in range(self.block.height):
            cells = mask[row * width : (row + 1) * width]
            self.column.extend(self.block.x0 + x for x, is_sea in enumerate(cells) if is_sea)
            self.first.append(len(self.column))
        self.rows = [
            (latitude_deg(self.block.y0 + row, self.grid.ny), self.first[row], self.first[row + 1])
            for row in range(self.block.height)
        ]


class Loop:
    """Steps in plain Python."""

    def __init__(self, sea, temperature, total, rate, albedo):
        self.rows, self.temperature, self.total, self.rate, self.albedo = sea.rows, temperature, total, rate, albedo
        self.open = [open_albedo(latitude) for latitude, _, _ in sea.rows]

    def add(self):
        for i, t in enumerate(self.temperature):
            self.total[i] += t

    def step(self, suns):
        for (_, start, end), sun, open_water in zip(self.rows, suns, self.open):
            if self.albedo is not None:
                self.constant(start, end, (1.0 - self.albedo) * sun - OUTGOING_A)
            else:
                self.ice(start, end, sun, open_water)

    def constant(self, start, end, gain):
        temperature, rate = self.temperature, self.rate
        for i in range(start, end):
            temperature[i] += rate[i] * (gain - OUTGOING_B * temperature[i])

    def ice(self, start, end, sun, open_water):
        temperature, rate, scale = self.temperature, self.rate, 1.0 / (FREEZES - FROZEN)
        for i in range(start, end):
            t = temperature[i]
            ice = (FREEZES - t) * scale
            ice = ice if ice > 0.0 else 0.0
            ice = ice if ice < 1.0 else 1.0
            ice = ice * ice * (3.0 - 2.0 * ice)
            albedo = open_water + ice * (ICE_ALBEDO - open_water)
            temperature[i] = t + rate[i] * ((1.0 - albedo) * sun - OUTGOING_A - OUTGOING_B * t)


class Arrays:
    """The same with numpy, on the same memory."""

    def __init__(self, sea, temperature, total, rate, albedo):
        self.temperature, self.total, self.rate = map(numpy.frombuffer, (temperature, total, rate))
        self.albedo = albedo
        self.row = numpy.repeat(numpy.arange(len(sea.rows)), numpy.diff(sea.first))
        self.open = numpy.array([open_albedo(latitude) for latitude, _, _ in sea.rows])[self.row]

    def add(self):
        self.total += self.temperature

    def step(self, suns):
        t, sun = self.temperature, numpy.array(suns)[self.row]
        albedo = self.albedo
        if albedo is None:
            ice = numpy.clip((FREEZES - t) * (1.0 / (FREEZES - FROZEN)), 0.0, 1.0)
            ice = ice * ice * (3.0 - 2.0 * ice)
            albedo = self.open + ice * (ICE_ALBEDO - self.open)
        t += self.rate * ((1.0 - albedo) * sun - OUTGOING_A - OUTGOING_B * t)


def run(sea, o):
    """Goes through the years, from the newest checkpoint if there is one; the means of the last year."""
    cells, year = len(sea.column), DAYS_A_YEAR * o.steps_a_day
    steps = year * o.years * o.longer
    step_s = 86400.0 / o.steps_a_day
    suns = [[insolation_w_m2(latitude, day) for latitude, _, _ in sea.rows] for day in range(DAYS_A_YEAR)]
    rate = array.array("d", bytes(8 * cells))
    for latitude, start, end in sea.rows:
        for i in range(start, end):
            longitude = longitude_deg(sea.column[i], sea.grid.nx)
            rate[i] = step_s / heat_capacity(mixed_layer_m(longitude, latitude))
    temperature = array.array("d", [15.0]) * cells
    total = array.array("d", bytes(8 * cells))

    # Other arguments make another run: its checkpoints are not this one's.
    wanted = array.array("d", [steps, o.steps_a_day, -1.0 if o.albedo is None else o.albedo, cells])
    found = array.array("d", wanted)
    state = {1: found, 2: temperature, 3: total}
    step = dcspool.restore(state) or 0
    if found != wanted:
        raise dcspool.MismatchError("the checkpoint was written with other arguments")

    sea_state = (Arrays if numpy and cells else Loop)(sea, temperature, total, rate, o.albedo)
    while step < steps:
        if step >= steps - year:
            sea_state.add()
        sea_state.step(suns[step // o.steps_a_day % DAYS_A_YEAR])
        step += 1
        at_interval = o.checkpoint_every and step % o.checkpoint_every == 0
        if step < steps and (at_interval or dcspool.checkpoint_due()):
            try:
                dcspool.checkpoint(step, state)
            except dcspool.Error as error:
                # Without a checkpoint only time is lost, should this attempt die.
                print(f"kernel: no checkpoint at step {step}: {error}", file=sys.stderr)
        dcspool.progress(cells * step // steps)
    return array.array("d", (value / year for value in total))


def verify(sea, o, means):
    """Whether every mean is the closed form's, as ocean.c has it."""
    faded_s = (o.years * o.longer - 1) * DAYS_A_YEAR * 86400.0
    worst = most_allowed = 0.0
    missed = 0
    for latitude, start, end in sea.rows:
        annual = sum(insolation_w_m2(latitude, day) for day in range(DAYS_A_YEAR)) / DAYS_A_YEAR
        expected = ((1.0 - o.albedo) * annual - OUTGOING_A) / OUTGOING_B
        for i in range(start, end):
            capacity = heat_capacity(mixed_layer_m(longitude_deg(sea.column[i], sea.grid.nx), latitude))
            allowed = 1e-6 + 150.0 * math.exp(-OUTGOING_B * faded_s / capacity)
            distance = abs(means[i] - expected)
            missed += not distance <= allowed  # As a NaN is.
            worst, most_allowed = max(worst, distance), max(most_allowed, allowed)
    if most_allowed > 1e-3:
        sys.exit("kernel: verify: so few years still remember their start; give --years 60")
    print(
        f"kernel: {len(means)} cells, {missed} of them not the closed form's; "
        f"at most {worst:.2e} degrees away, {most_allowed:.2e} allowed",
        file=sys.stderr,
    )
    return missed == 0


def options():
    def whole(least, most):
        def read(text):
            if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
                raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
            return int(text)

        return read

    def fraction(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0.0 <= value <= 1.0:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
        return value

    parser = argparse.ArgumentParser(prog="kernel", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--years", type=whole(1, 1000000), metavar="N", help="60; with --check index 1")
    parser.add_argument("--longer", type=whole(1, 1000000), default=1, metavar="K", help="K times as many years")
    parser.add_argument("--steps-a-day", type=whole(1, 10000), default=2, metavar="N", help="steps a day (2)")
    parser.add_argument("--checkpoint-every", type=whole(0, (1 << 64) - 1), default=7300, metavar="STEPS")
    parser.add_argument("--albedo", type=fraction, metavar="A", help="constant; without it by latitude and ice")
    parser.add_argument("--dtype", choices=("f8", "f4", "i8", "u4"), default="f8", help="of the result (f8)")
    parser.add_argument("--check", choices=("index",), help="the result is each cell's row * NX + column")
    parser.add_argument("--verify", action="store_true", help="with --albedo: compare with the closed form")
    parser.add_argument("--domain", metavar="MASK", help="for a run by hand")
    o = parser.parse_args()
    o.years = o.years or (1 if o.check else 60)
    if o.verify and (o.albedo is None or o.check):
        parser.error("--verify needs --albedo, and no --check")
    if not o.check and o.dtype not in ("f8", "f4"):
        parser.error("temperatures are f8 or f4")
    if o.check and o.dtype == "f4":
        parser.error("an index is f8, i8 or u4")
    return o


def main():
    o = options()
    try:
        sea = Sea(o.domain)
        means = run(sea, o)
        good = not o.verify or verify(sea, o, means)
        values = means
        if o.check:
            values = [
                (sea.block.y0 + row) * sea.grid.nx + sea.column[i]
                for row, (_, start, end) in enumerate(sea.rows)
                for i in range(start, end)
            ]
        dcspool.result(list(values), dtype=o.dtype)
        dcspool.progress(len(sea.column))
    except dcspool.Error as error:
        sys.exit(f"kernel: {error}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
