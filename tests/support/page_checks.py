"""What anyone needs of a page in a browser: names, a keyboard, contrast, a narrow screen."""

import contextlib

# Of what has the focus: its place in the page, its id or text, and the outline that shows it. Of a
# file input, which is not seen, its label is outlined.
_FOCUSED = """(() => {
const node = document.activeElement;
const seen = node.classList.contains("unseen") ? node.nextElementSibling : node;
const place = [...document.querySelectorAll("*")].indexOf(node);
const { outlineStyle, outlineWidth } = getComputedStyle(seen);
const width = outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
return [place, node.id || node.textContent.trim(), width];
})()"""

_CONTROLS = """[...document.querySelectorAll("a[href], button, input, textarea, summary")]
.filter((node) => node.checkVisibility() && !node.disabled)
.map((node) => node.id || node.textContent.trim())"""

# Of each text that is seen, but for those of what is disabled, by WCAG 2.
_CONTRASTS = """(() => {
const color = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    return { channels: [red, green, blue], alpha };
};
const over = ({ channels, alpha }, ground) =>
    channels.map((value, i) => alpha * value + (1 - alpha) * ground[i]);
const ground = (node) =>
    node === null
        ? [255, 255, 255]
        : over(color(getComputedStyle(node).backgroundColor), ground(node.parentElement));
const luminance = (channels) => {
    const linear = channels.map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !node.checkVisibility() || node.closest(":disabled")) continue;
    const below = ground(node);
    const pair = [below, over(color(getComputedStyle(node).color), below)].map(luminance);
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    found.push([text, node.className, ratio]);
}
return found;
})()"""


def nameless(page):
    """Roles of the controls and pictures that a screen reader has no name for."""
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = [node for node in nodes if _is_focusable(node) or node["role"]["value"] == "image"]
    assert len(named) > 5
    return [x["role"]["value"] for x in named if not x.get("name", {}).get("value", "").strip()]


def controls(page):
    """Ids or texts of what can be used, in the order of the page."""
    return page.run(_CONTROLS)


def reached_by_tab(page):
    """Ids or texts of what the Tab key reaches, and the widths of the outlines that show it."""
    reached = {}
    page.run("document.activeElement.blur()")
    for _ in range(40):
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab",
                      windowsVirtualKeyCode=9)  # fmt: skip
        place, name, width = page.run(_FOCUSED)
        if place in reached:
            break
        # Behind the last one the body is in focus.
        if name and page.run("document.activeElement !== document.body"):
            reached[place] = name, width
    return list(reached.values())


def contrasts(page, scheme):
    """(text, its classes, its contrast) of all that is seen, "light" or "dark"."""
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    given = [{"name": name, "value": value} for name, value in features.items()]
    page.call("Emulation.setEmulatedMedia", features=given)
    try:
        return page.run(_CONTRASTS)
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])


@contextlib.contextmanager
def phone(page):
    """Within this context the page is 360 pixels wide."""
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=360, height=740, deviceScaleFactor=2, mobile=True,
    )  # fmt: skip
    try:
        yield
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


def _is_focusable(node):
    properties = {x["name"]: x["value"].get("value") for x in node.get("properties", ())}
    return properties.get("focusable", False)
