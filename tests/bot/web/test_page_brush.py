"""Drawing over a part of a picture on the page, and pictures that are pasted or dropped into forms."""

import io
import re
from collections.abc import Iterator

from PIL import Image
from playwright.async_api import Locator, expect

from tests.bot.web.browser import Comes, Visit
from tests.bot.web.page_client import Place

WIDTH, HEIGHT = 240, 160
BLACK, WHITE = 0, 255


def drawing() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), "olive").save(out, "PNG")
    return out.getvalue()


async def hands(visit: Visit, kind: str, name: str, content: bytes, type: str = "image/png") -> None:
    """Drop or paste a file anywhere on the page."""
    await visit.page.evaluate(
        """([kind, name, type, bytes]) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(bytes)], name, {type}));
          const how = {cancelable: true, dataTransfer: carried, clipboardData: carried};
          window.dispatchEvent(new (kind === "drop" ? DragEvent : ClipboardEvent)(kind, how));
        }""",
        [kind, name, type, list(content)],
    )


async def opens_brush(visit: Visit) -> tuple[Locator, Locator]:
    """The form of /edit with a picture that is pasted, and the brush over it."""
    await visit.words.fill("/edit a heart")
    await visit.page.get_by_role("button", name="All options as a form").click()
    form = visit.page.get_by_role("dialog", name="/edit")
    await expect(form).to_be_visible()  # before, a picture goes beside the message
    await hands(visit, "paste", "olive.png", drawing())
    await expect(form.get_by_text("olive.png")).to_be_visible()
    await expect(form.locator(".image-field img").first).to_have_js_property("naturalWidth", WIDTH)
    await form.get_by_role("button", name="Draw").press("Enter")
    brush = visit.page.get_by_role("dialog", name="Draw over what should change")
    await expect(brush.get_by_role("application")).to_be_focused()
    return form, brush


async def mask_of(visit: Visit, place: Place, card: Locator) -> Image.Image:
    """The mask that the card's job was painted with."""
    command = await card.locator(".command code").text_content() or ""
    hashes = re.findall(r"--mask ([0-9a-f]{64})", command)
    return Image.open(io.BytesIO(await place.bot.files.get(hashes[0]))).convert("L")


def line(mask: Image.Image) -> Iterator[int]:
    """The mask's pixels along its middle, at the quarters."""
    return (mask.getpixel((WIDTH * quarter // 4, HEIGHT // 2)) for quarter in (1, 2, 3))  # type: ignore[misc]


async def test_what_is_drawn_over_a_picture_is_its_mask_at_its_true_size(place: Place, comes: Comes) -> None:
    ana = await comes(device_scale_factor=2)
    _, brush = await opens_brush(ana)
    box = await brush.get_by_role("application").bounding_box()
    assert box is not None
    x, y, wide, high = box["x"], box["y"], box["width"], box["height"]
    marked = brush.get_by_role("status")

    await ana.page.mouse.move(x + wide / 4, y + high / 2)
    await ana.page.mouse.down()
    await ana.page.mouse.move(x + wide / 2, y + high / 2, steps=3)
    await ana.page.mouse.up()
    await expect(marked).to_contain_text("% of the picture is marked")
    stroke = await marked.text_content() or ""
    await brush.get_by_role("button", name="Undo").click()
    await expect(marked).to_have_text("Nothing is marked yet")
    await ana.page.keyboard.press("Control+Shift+Z")
    await expect(marked).to_have_text(stroke)
    await brush.get_by_role("button", name="Eraser").click()
    await ana.page.mouse.click(x + wide / 2, y + high / 2)
    await brush.get_by_role("button", name="Invert").click()
    await expect(brush.get_by_label("What should be there")).to_have_value("a heart")
    await brush.get_by_label("What should be there").fill("a star")
    await brush.get_by_role("button", name="Change it").click()

    card = await ana.new_card([])
    await expect(card.locator(".prompt")).to_have_text("a star")
    await expect(card).to_contain_text("part changed")
    mask = await mask_of(ana, place, card)
    assert mask.size == (WIDTH, HEIGHT)
    assert list(line(mask)) == [BLACK, WHITE, WHITE]


async def test_the_brush_is_led_by_keys_alone(place: Place, comes: Comes) -> None:
    ana = await comes()
    form, brush = await opens_brush(ana)
    keys, marked = ana.page.keyboard, brush.get_by_role("status")

    await brush.get_by_role("button", name="Change it").click()
    await expect(brush.get_by_role("alert")).to_have_text("Nothing is marked. Draw over what should change.")
    await brush.get_by_role("application").focus()
    for key in ("]", "]", "["):
        await keys.press(key)
    await expect(brush.locator("#brush-percent")).to_have_text("20%")
    await keys.down("Space")
    for _ in range(8):
        await keys.press("ArrowRight")
    await keys.up("Space")
    await expect(brush.locator("#brush-at")).to_have_text(
        re.compile(r"from the left, 50% from the top, mark")
    )
    share = await marked.text_content() or ""
    await keys.press("Delete")
    await expect(marked).to_have_text("Nothing is marked yet")
    await keys.press("Control+z")
    await expect(marked).to_have_text(share)
    await keys.press("Escape")

    await expect(brush).to_be_hidden()
    await expect(form.get_by_role("button", name="Draw")).to_be_focused()
    await expect(form.get_by_text("Drawn", exact=True)).to_be_visible()
    await form.get_by_role("button", name="Draw").press("Enter")
    await expect(marked).to_have_text(share)
    await keys.press("Escape")
    await expect(form.get_by_text("Drawn", exact=True)).to_be_visible()
    await expect(form.locator("[data-waiting=true]")).to_have_count(0)  # the mask is sent
    await form.get_by_role("button", name="Change it").click()
    mask = await mask_of(ana, place, await ana.new_card([]))
    assert list(line(mask)) == [BLACK, WHITE, WHITE]


async def test_a_picture_that_comes_alone_opens_the_form_that_paints_from_it(comes: Comes) -> None:
    ana = await comes()
    card = await ana.paints("/imagine a fox --steps 1")
    job = await card.get_attribute("data-job")
    form = ana.page.get_by_role("dialog", name="/imagine")
    image, shown = form.locator("[name=image]"), form.locator(".image-field img")

    await hands(ana, "drop", "olive.png", drawing())
    await expect(image).to_have_value(re.compile("^[0-9a-f]{64}$"))
    await expect(shown).to_have_js_property("naturalWidth", WIDTH)
    await form.get_by_role("button", name="Clear image").click()
    await expect(image).to_have_value("")

    await hands(ana, "paste", "notes.pdf", b"%PDF", "application/pdf")
    await expect(form.get_by_role("status")).to_have_text(
        "notes.pdf is not a picture. Send a PNG, JPEG or WebP."
    )
    await image.evaluate(
        """(input, job) => {
          const carried = new DataTransfer();
          carried.setData("text/uri-list", `${location.origin}/thumbs/general/${job}/1.webp`);
          const how = {bubbles: true, cancelable: true, dataTransfer: carried};
          input.dispatchEvent(new DragEvent("drop", how));
        }""",
        job,
    )
    await expect(image).to_have_value(f"{job}:1")
    await expect(shown).to_have_js_property("naturalWidth", 1)
