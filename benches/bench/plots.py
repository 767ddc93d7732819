"""A line plot as SVG, and nothing else is wanted."""

import math

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 60, 48
COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700"]


def plot(title, across, up, lines, by_factors=True):
    """`lines` maps a label to points (x, y). y starts at nothing; x grows by factors, unless it grows by steps."""
    scale = math.log10 if by_factors else float
    xs = sorted({x for points in lines.values() for x, _ in points})
    step = step_to(max(y for points in lines.values() for _, y in points))
    steps = math.ceil(max(y for points in lines.values() for _, y in points) / step) or 1
    low, high = scale(xs[0]), scale(xs[-1])
    x_of = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * ((scale(x) - low) / (high - low) if high > low else 0.5)
    y_of = lambda y: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / (step * steps)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{title}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{across}</text>',
        f'<text x="16" y="{HEIGHT / 2:.0f}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2:.0f})">{up}</text>',
    ]
    for count in range(steps + 1):
        y = step * count
        parts.append(f'<path d="M{LEFT} {y_of(y):.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y_of(y) + 4:.1f}" text-anchor="end">{short(y)}</text>')
    for x in xs:
        parts.append(f'<text x="{x_of(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{short(x)}</text>')
    named = LEFT
    for colour, (label, points) in zip(COLOURS, lines.items()):
        path = "M" + "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in points)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(f'<circle cx="{named + 4:.1f}" cy="40" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{named + 12:.1f}" y="44">{label}</text>')
        named += 32 + 6.2 * len(label)
    return "\n".join([*parts, "</svg>"]) + "\n"


def step_to(most):
    """A round step that comes to the most in five or fewer."""
    power = 10 ** math.floor(math.log10(most or 1))
    return next(power * part for part in [0.2, 0.5, 1, 2] if power * part * 5 >= most)


def short(value):
    for unit, size in [("M", 1_000_000), ("k", 1000)]:
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
