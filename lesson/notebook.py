"""The lesson as a marimo notebook, for the curious: any weight, any mask, and a file of your own.

marimo edit lesson/notebook.py
"""

# marimo calls a cell with what other cells define, and shows its last expression:
# ruff: noqa: ANN001, ANN202, PLC0415, PLR0913, PLR0917
# pyright: basic

import marimo

app = marimo.App(app_title="One output is not enough")


@app.cell
def _():
    import marimo as mo
    import numpy as np

    from lesson import setting, story
    from lesson.content import build, flat, likeness
    from lesson.setting import Weight
    from lesson.wording import short, signed

    return Weight, build, flat, likeness, mo, np, setting, short, signed, story


@app.cell
def _(build, mo, story):
    told = "\n\n".join(story.told(story.SETTING, build()))
    mo.md(
        f"# {story.TITLE}\n\n{story.LEAD}\n\n{told}\n\n"
        "Here the weight, the batch and the mask are yours to choose."
    )


@app.cell
def _(build, mo, setting):
    start = build().weights["W1"]
    array = mo.ui.dropdown(["W1", "b1", "W2", "b2"], value="W1", label="array")
    fan_in = mo.ui.number(0, setting.SIZES[0] - 1, value=start.place[0], label="from (not for a bias)")
    fan_out = mo.ui.number(0, setting.SIZES[1] - 1, value=start.place[1], label="to, both counted from 0")
    output = mo.ui.dropdown(setting.keys("output"), value="identity", label="output layer")
    reduction = mo.ui.dropdown(setting.keys("reduction"), value="mean", label="reduction")
    samples = mo.ui.slider(1, 16, value=setting.SAMPLES, show_value=True, label="samples")
    mo.vstack([mo.hstack([array, fan_in, fan_out], justify="start"), mo.hstack([output, reduction, samples])])
    return array, fan_in, fan_out, output, reduction, samples


@app.cell
def _(mo, samples, setting):
    mask = mo.ui.array([mo.ui.checkbox(value=True) for _ in range(samples.value * setting.OUTPUTS)])
    rows = [mask[i * setting.OUTPUTS : (i + 1) * setting.OUTPUTS] for i in range(samples.value)]
    mo.vstack(
        [
            mo.md("**Keep** (a row is a sample, a column an output)"),
            *(mo.hstack(r, justify="start") for r in rows),
        ]
    )
    return (mask,)


@app.cell
def _(Weight, array, fan_in, fan_out, mask, np, output, reduction, samples, setting):
    x, y = setting.batch(samples.value)
    kept = np.array(mask.value, dtype=float).reshape(samples.value, setting.OUTPUTS)
    layer = int(array.value[1]) - 1
    shape = setting.network()[layer][0].shape
    place = (min(fan_in.value, shape[0] - 1), min(fan_out.value, shape[1] - 1))
    weight = Weight(layer, array.value[0], place if array.value[0] == "W" else place[1:])
    choices = {"output": output.value, "reduction": reduction.value}
    suspect = setting.gradient_by_hand(setting.network(), x, y, kept, **choices)
    right = setting.gradient_by_hand(setting.network(), x, y, np.ones_like(kept), **choices)
    slope = setting.slope(lambda p: setting.loss_of(p, x, y, **choices), setting.network(), weight, 1e-5)
    return kept, right, slope, suspect, weight


@app.cell
def _(flat, kept, likeness, mo, np, right, short, signed, slope, suspect, weight):
    whole = likeness(flat(suspect), flat(right))
    mo.md(
        f"""
| | |
|---|---|
| cells kept | {np.count_nonzero(kept)} of {kept.size} |
| ∂L/∂w of what is kept | **{signed(weight.of(suspect))}** |
| ∂L/∂w of all cells | **{signed(weight.of(right))}** |
| slope of the loss, measured both ways with h = 10⁻⁵ | {signed(slope)} |
| whole gradient | cosine {short(whole.cosine)}, length {short(whole.length)} of the right one |
"""
    )
    return (whole,)


@app.cell
def _(mo):
    path = mo.ui.text(placeholder="mine.py", label="Your own backprop", full_width=True)
    verify = mo.ui.run_button(label="Check it")
    mo.vstack([path, verify])
    return path, verify


@app.cell
def _(mo, path, verify):
    import subprocess
    import sys
    from pathlib import Path

    def check(file):
        command = Path(sys.executable).with_name("manual-backprop")
        done = subprocess.run([command, "verify", file], capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout + done.stderr

    mo.plain_text(check(path.value)) if verify.value and path.value else mo.md(
        "`def gradient(parameters, inputs, targets)`"
    )
    return (check,)


if __name__ == "__main__":
    app.run()
