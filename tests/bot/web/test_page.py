"""The web chat's page in a real browser: what people see, click and type."""

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.async_api import FilePayload, WebSocketRoute, expect

from commands.registry import COMMANDS
from tests.bot.quick_lora import a_file
from tests.bot.web.browser import Comes, a_browser
from tests.bot.web.page_client import Place, a_place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "adapters").mkdir()
    for name in ("ink", "maria"):
        (tmp_path / "adapters" / f"{name}.safetensors").write_bytes(a_file())
    async with a_place(tmp_path) as place:
        yield place


async def test_an_empty_channel_welcomes_with_examples_that_fill_the_message(comes: Comes) -> None:
    ana = await comes()

    await ana.page.get_by_role("button", name="A star above a circle").click()

    await expect(ana.words).to_have_value(re.compile("^/imagine a red star above"))
    await expect(ana.words).to_be_focused()


async def test_commands_options_choices_and_loras_are_completed(comes: Comes) -> None:
    ana = await comes()

    await ana.types("/")
    await expect(ana.options).to_have_count(sum(not command.admin for command in COMMANDS.values()))
    await ana.types("im")
    await expect(ana.options).to_have_text([re.compile("/imagine")])
    await ana.words.press("Tab")
    await expect(ana.words).to_have_value("/imagine ")
    await ana.types("a fox --s")
    await expect(ana.options.first).to_contain_text("1 to 100")
    await ana.words.press("ArrowDown")
    await expect(ana.page.get_by_role("option", selected=True)).to_contain_text("--seed")
    await ana.words.press("ArrowUp")
    await ana.words.press("Enter")
    await expect(ana.words).to_have_value("/imagine a fox --steps ")
    await expect(ana.page.locator("#hint")).to_contain_text("1 to 100")
    await ana.types("2 --sampler dpm")
    await ana.page.get_by_role("option", name="DPM++ 2M Karras").click()
    await expect(ana.words).to_have_value('/imagine a fox --steps 2 --sampler "DPM++ 2M Karras" ')
    await ana.types("--lora m")
    await expect(ana.options).to_have_text([re.compile("maria")])
    await ana.words.press("Escape")
    await expect(ana.options).to_have_count(0)


async def test_names_and_lists_are_completed_over_their_spaces(comes: Comes) -> None:
    ana = await comes()

    await ana.types("/imagine a fox --sampler dpm++ 2m k")
    await ana.page.get_by_role("option", name="DPM++ 2M Karras").click()
    await expect(ana.words).to_have_value('/imagine a fox --sampler "DPM++ 2M Karras" ')
    await ana.types("--lora ink:0.8 mar")
    await ana.page.get_by_role("option", name="maria").click()
    await expect(ana.words).to_have_value('/imagine a fox --sampler "DPM++ 2M Karras" --lora ink:0.8 maria:')


async def test_a_lora_that_a_command_is_about_is_completed_by_its_name_alone(comes: Comes) -> None:
    ana = await comes()

    await ana.types("/lora mar")
    await ana.page.get_by_role("option", name="maria").click()
    await expect(ana.words).to_have_value("/lora maria ")

    await expect(ana.options).to_have_count(0)


async def test_a_weight_that_is_painted_as_words_is_told_under_the_card(comes: Comes) -> None:
    ana = await comes()

    card = await ana.paints("/imagine a (red:1.3) fox --steps 1")
    plain = await ana.paints("/imagine a red fox --steps 1")

    await expect(card.get_by_text("weights are not understood here: (red:1.3).")).to_be_visible()
    await expect(plain.locator(".hinted")).to_be_hidden()


async def test_the_second_word_of_a_command_is_completed_and_then_its_options(comes: Comes) -> None:
    ana = await comes()

    await ana.types("/privacy e")
    await expect(ana.options).to_have_text([re.compile("/privacy export")])
    await ana.words.press("Tab")
    await expect(ana.words).to_have_value("/privacy export ")
    await ana.words.fill("")
    await ana.types("/lora merge inked --r")
    await expect(ana.options).to_have_text([re.compile("--rank")])


async def test_the_list_of_completions_is_known_to_screen_readers(comes: Comes) -> None:
    ana = await comes()

    await ana.types("/h")

    await expect(ana.words).to_have_attribute("aria-expanded", "true")
    active = await ana.words.get_attribute("aria-activedescendant")
    await expect(ana.page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
    await expect(ana.page.get_by_role("listbox", name="Completions")).to_be_visible()


async def test_enter_sends_shift_enter_breaks_the_line_and_up_brings_it_back(comes: Comes) -> None:
    ana = await comes()

    await ana.types("/imagine a fox")
    await ana.words.press("Shift+Enter")
    await ana.types("in snow --steps 1")
    await ana.words.press("Enter")

    card = await ana.new_card([])
    await expect(card).to_contain_text("a fox\nin snow", use_inner_text=True)
    await expect(ana.words).to_have_value("")
    await ana.words.press("ArrowUp")
    await expect(ana.words).to_have_value("/imagine a fox\nin snow --steps 1")
    await ana.words.press("ArrowDown")
    await expect(ana.words).to_have_value("")


async def test_html_in_a_prompt_is_shown_as_text(comes: Comes) -> None:
    ana = await comes()
    prompt = (
        "<b>bold</b><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    )

    card = await ana.paints(f"/imagine {prompt} --steps 1")
    await card.get_by_role("button", name="Open:").click()

    await expect(card.locator(".prompt")).to_have_text(prompt)
    await expect(ana.page.locator("#caption .title")).to_have_text(prompt)
    assert await ana.page.locator("b:text-is('bold'), img[src=x], .card script").count() == 0
    await expect(ana.page).to_have_title("Atelier")


async def test_answers_for_me_alone_are_quiet_and_can_be_put_away(comes: Comes) -> None:
    ana, ben = await comes(), await comes()

    await ana.says("/help")
    await expect(ana.notices).to_contain_text("Paint a picture from words.")
    await ana.says("/imagin a fox")
    await expect(ana.notices.nth(1)).to_contain_text("Did you mean /imagine?")
    await expect(ana.words).to_have_value("/imagin a fox")
    await ana.page.get_by_role("button", name="Dismiss").first.click()

    await expect(ana.notices).to_have_count(1)
    await expect(ben.notices).to_have_count(0)


async def test_a_form_has_every_option_and_paints(comes: Comes) -> None:
    ana = await comes()
    await ana.words.fill("/imagine a fox")
    await ana.page.get_by_role("button", name="All options as a form").click()
    form = ana.page.get_by_role("dialog", name="/imagine")

    await expect(form.get_by_label("prompt")).to_have_value("a fox")
    await form.get_by_label("steps, slider").fill("3")
    await expect(form.get_by_label("steps", exact=False).last).to_have_value("3")
    await form.get_by_label("sampler").select_option("Euler a")
    await form.get_by_role("button", name="portrait").click()
    await form.get_by_label("seed", exact=False).first.fill("99999999999999999999")
    await form.get_by_role("button", name="Paint").click()
    await expect(form.get_by_role("alert")).to_contain_text("--seed must be")
    await form.get_by_label("seed", exact=False).first.fill("12345678901234567")
    await form.get_by_role("button", name="Paint").click()

    card = await ana.new_card([])
    await expect(card.locator(".command")).to_contain_text("--steps 3")
    await expect(card.locator(".command")).to_contain_text("--size 2:3")
    await expect(card.locator(".command")).to_contain_text('--sampler "Euler a"')
    assert await ana.seed(card) == "12345678901234567"


async def test_a_card_leads_to_the_picture_that_it_started_from(comes: Comes) -> None:
    ana = await comes()
    first = await ana.paints("/imagine a fox --steps 2")
    job = await first.get_attribute("data-job")

    await first.get_by_label("More").select_option(f"image:{job}")
    form = ana.page.get_by_role("dialog", name="/imagine")
    await expect(form.get_by_role("textbox", name="image")).to_have_value(f"{job}:1")
    await expect(form.locator(".image-field img")).to_have_attribute("src", re.compile(f"/thumbs/.*{job}/1"))
    await form.get_by_label("prompt").fill("")
    await form.get_by_role("button", name="Paint", exact=True).click()
    second = await ana.new_card([str(job)])
    await second.get_by_role("button", name=f"{job}, picture 1").click()

    await expect(first).to_be_focused()
    await expect(first).to_have_class(re.compile("highlighted"))


async def test_a_form_begins_with_my_own_defaults_and_an_emptied_field_is_empty(comes: Comes) -> None:
    ana = await comes()
    await ana.says("/settings --steps 2 --no hat")
    await expect(ana.notices).to_contain_text("(yours)")
    await ana.words.fill("/imagine a fox")
    await ana.page.get_by_role("button", name="All options as a form").click()
    form = ana.page.get_by_role("dialog", name="/imagine")

    await expect(form.locator("[name=steps]")).to_have_value("2")
    await expect(form.locator("[name=no]")).to_have_value("hat")
    await form.locator("[name=no]").fill("")
    await form.get_by_role("button", name="Paint").click()
    card = await ana.new_card([])

    await expect(card.locator(".command")).to_contain_text('--no "" --steps 2')
    await card.get_by_role("button", name="Change the recipe").click()
    await expect(form.locator("[name=no]")).to_have_value("")


async def test_many_pictures_have_their_own_buttons_and_a_lightbox(comes: Comes) -> None:
    ana = await comes()
    card = await ana.paints("/imagine a fox --steps 1 --count 4 --seed 10")

    await expect(card.locator(".shot")).to_have_count(4)
    await expect(card.get_by_role("group", name="Picture 3").get_by_role("button")).to_have_count(4)
    await card.get_by_role("button", name="Open: Picture 3").press("Enter")
    caption = ana.page.locator("#caption")
    await expect(caption).to_contain_text("seed 12 · 3 of 4")
    await ana.page.keyboard.press("ArrowRight")
    await expect(caption).to_contain_text("seed 13 · 4 of 4")
    await expect(ana.page.get_by_role("button", name="Next picture")).to_be_hidden()
    async with ana.page.expect_download() as download:
        await caption.get_by_role("link", name="Download").click()
    assert (await download.value).suggested_filename.endswith("-4.png")
    await caption.get_by_role("button", name="Recipe").click()
    await expect(caption.get_by_role("definition").first).to_be_visible()
    await expect(caption.get_by_role("definition").filter(has_text="13")).to_have_count(1)
    await ana.page.keyboard.press("Escape")
    await expect(ana.page.get_by_role("dialog")).to_have_count(0)


async def test_favourites_are_kept_in_a_gallery(comes: Comes) -> None:
    ana, ben = await comes(), await comes()
    card = await ana.paints("/imagine a fox --steps 1")
    job = (await ana.jobs())[0]

    star = ben.card(job).get_by_role("button", name="Add the picture to your favourites")
    await star.click()

    await expect(star).to_have_attribute("aria-pressed", "true")
    await expect(card.get_by_role("button", name="kept by 1")).to_have_attribute("aria-pressed", "false")
    await ben.page.get_by_role("button", name="My pictures").click()
    await expect(ben.page.get_by_text("Pictures that you paint appear here.")).to_be_visible()
    await ben.page.get_by_role("tab", name="My favourites").click()
    await ben.page.get_by_role("button", name="Open: a fox").click()
    await ben.page.get_by_role("button", name="Show in # general").click()
    await expect(ben.card(job)).to_be_in_viewport()


async def test_the_full_file_is_given_privately(comes: Comes) -> None:
    ana, ben = await comes(), await comes()
    card = await ana.paints("/imagine a fox --steps 1")

    await card.get_by_role("button", name="Get the full-size file").click()
    async with ana.page.expect_download() as download:
        await ana.notices.get_by_role("link").click()

    with Image.open(await (await download.value).path()) as picture:
        assert picture.format == "PNG"
    await expect(ben.notices).to_have_count(0)


async def test_deleting_asks_once_more_and_is_offered_to_the_owner_only(comes: Comes) -> None:
    ana, ben = await comes(), await comes()
    card = await ana.paints("/imagine a fox --steps 1")
    delete = card.get_by_role("button", name="Delete")
    await expect(ben.page.locator(".card")).to_have_count(1)
    await expect(ben.page.get_by_role("button", name="Delete")).to_have_count(0)

    await delete.click()
    await expect(delete).to_have_text("Press again to delete")
    await delete.click()

    await expect(ana.page.locator(".card")).to_have_count(0)
    await expect(ben.page.locator(".card")).to_have_count(0)
    await expect(ana.page.get_by_text("Nothing here yet")).to_be_visible()


async def test_what_happens_elsewhere_is_marked_unread(comes: Comes) -> None:
    ana, ben = await comes(), await comes()
    await ben.page.get_by_role("button", name="ideas").click()

    await ben.paints("/imagine a fox --steps 1")

    mark = ana.page.get_by_role("button", name="ideas, unread")
    await expect(mark).to_be_visible()
    await expect(ana.page).to_have_title("• Atelier")
    await mark.click()
    await expect(ana.page.locator(".card")).to_have_count(1)
    await expect(ana.page).to_have_title("Atelier")


async def test_a_lost_connection_comes_back_and_nothing_is_missed(place: Place, comes: Comes) -> None:
    ana, ben = await comes(), await place.comes()
    open_wires: list[WebSocketRoute] = []
    cut = False

    async def route(wire: WebSocketRoute) -> None:
        if cut:
            await wire.close()
        else:
            wire.connect_to_server()
            open_wires.append(wire)

    await ana.page.route_web_socket(re.compile("/live"), route)
    await ana.page.reload()
    await ana.connects()
    before = await ben.paints("/imagine before --steps 1")
    await expect(ana.card(before["job"])).to_have_attribute("data-state", "succeeded")

    cut = True
    await open_wires[-1].close()
    await expect(ana.state).to_have_text(re.compile("Offline|Reconnecting"))
    missed = [await ben.paints(f"/imagine missed {nth} --steps 1") for nth in range(3)]
    await ben.presses(f"again:{before['job']}")
    await ana.says("/imagine while offline")
    await expect(ana.notices).to_contain_text("Not connected right now")
    await expect(ana.words).to_have_value("/imagine while offline")
    cut = False

    await ana.connects()
    for card in missed:
        await expect(ana.card(card["job"])).to_have_attribute("data-state", "succeeded")
    await expect(ana.page.locator(".card")).to_have_count(5)


async def test_pictures_are_dropped_pasted_and_chosen(comes: Comes) -> None:
    ana = await comes()
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(out, "PNG")
    chips = ana.page.get_by_label("Pictures to send").get_by_role("listitem")

    good: FilePayload = {"name": "red.png", "mimeType": "image/png", "buffer": out.getvalue()}
    bad: FilePayload = {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    await ana.page.locator("#files").set_input_files([good, bad])
    for kind in ("drop", "paste"):
        await ana.page.evaluate(
            """([kind, bytes]) => {
              const carried = new DataTransfer();
              carried.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, {type: "image/png"}));
              const how = {cancelable: true, dataTransfer: carried, clipboardData: carried};
              const Happening = kind === "drop" ? DragEvent : ClipboardEvent;
              window.dispatchEvent(new Happening(kind, how));
            }""",
            [kind, list(out.getvalue())],
        )

    await expect(chips).to_have_count(4)
    await expect(chips.nth(0)).to_contain_text("60 \u00d7 40")
    await expect(chips.nth(1)).to_contain_text("Send a PNG, JPEG or WebP")
    await expect(chips.nth(2)).to_contain_text("drop.png")
    await expect(chips.nth(3)).to_contain_text("60 \u00d7 40")
    assert (
        await chips.nth(0).locator("img").evaluate("one => one.decode().then(() => one.naturalWidth)") == 60
    )
    await ana.page.get_by_role("button", name="Remove bad.png").click()
    await expect(chips).to_have_count(3)


async def test_a_dropped_png_that_carries_a_recipe_opens_the_form_with_it(comes: Comes) -> None:
    ana = await comes()
    info = PngInfo()
    info.add_text(
        "parameters", "a red fox\nNegative prompt: hat\nSteps: 1, Seed: 7, Size: 64x96, Clip skip: 2"
    )
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(out, "PNG", pnginfo=info)
    form = ana.page.locator("#form")

    await ana.page.evaluate(
        """(bytes) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(bytes)], "fox.png", {type: "image/png"}));
          window.dispatchEvent(new DragEvent("drop", {cancelable: true, dataTransfer: carried}));
        }""",
        list(out.getvalue()),
    )

    await expect(form.get_by_label("prompt")).to_have_value("a red fox")
    await expect(form.get_by_label("no", exact=True)).to_have_value("hat")
    await expect(form).to_contain_text("Left out, because it is not known here: Clip skip: 2.")
    await form.get_by_role("button", name="Paint").click()
    card = await ana.new_card([])
    await expect(card).to_contain_text("64x96")
    await expect(card).to_contain_text("seed7")


async def test_a_name_and_a_theme_are_kept(comes: Comes) -> None:
    ana = await comes(color_scheme="dark")
    theme = ana.page.locator("html")
    await expect(theme).to_have_attribute("data-theme", "dark")

    await ana.page.get_by_role("button", name="Change your name").click()
    await ana.page.get_by_role("textbox", name="Your name").fill("Ana")
    await ana.page.keyboard.press("Enter")
    await ana.page.get_by_role("button", name="Theme: system").click()
    await expect(theme).to_have_attribute("data-theme", "light")
    await ana.page.reload()

    await ana.connects()
    await expect(theme).to_have_attribute("data-theme", "light")
    await expect(ana.page.get_by_role("button", name="You are Ana")).to_be_visible()
    card = await ana.paints("/imagine a fox --steps 1")
    await expect(card.locator(".owner")).to_have_text("Ana")


async def test_a_new_name_stands_on_older_cards_before_everybody(comes: Comes) -> None:
    ana, ben = await comes(), await comes()
    await ana.paints("/imagine a fox --steps 1")
    await expect(ben.page.locator(".card .owner")).to_have_text(re.compile("guest-"))

    await ana.page.get_by_role("button", name="Change your name").click()
    await ana.page.get_by_role("textbox", name="Your name").fill("Ana")
    await ana.page.keyboard.press("Enter")

    await expect(ben.page.locator(".card .owner")).to_have_text("Ana")
    await expect(ana.page.locator(".card .owner")).to_have_text("Ana")
    await expect(ben.page.get_by_role("button", name="You are guest-")).to_be_visible()


async def test_on_a_phone_nothing_sticks_out_and_the_side_folds(comes: Comes) -> None:
    ana = await comes(viewport={"width": 360, "height": 720}, has_touch=True)
    await expect(ana.page.get_by_role("button", name="ideas")).to_be_hidden()
    await ana.paints("/imagine a fox --steps 1 --count 4 --seed 1")
    await ana.paints("/imagine a-very-long-word-" + "x" * 200 + " --steps 1")
    await ana.says("/help imagine")
    await expect(ana.notices).to_have_count(1)

    assert await ana.wider_than_the_window() == []
    await ana.page.get_by_role("button", name="Channels").tap()
    await ana.page.get_by_role("button", name="ideas").tap()
    await expect(ana.page.get_by_role("heading", name="# ideas")).to_be_visible()
    await expect(ana.page.get_by_role("button", name="ideas")).to_be_hidden()


async def test_every_control_has_a_name(comes: Comes) -> None:
    ana = await comes()
    await ana.paints("/imagine a fox --steps 1 --count 2")
    await ana.page.get_by_role("button", name="All options as a form").click()

    nameless = await ana.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, a, img")].filter((one) => {
          const label = ["aria-label", "aria-labelledby", "alt"].some((name) => one.hasAttribute(name));
          return one.type !== "file" && !label && !one.labels?.length && !one.textContent.trim();
        }).map((one) => one.outerHTML)"""
    )

    assert nameless == []


async def test_older_cards_come_when_one_scrolls_up(place: Place, comes: Comes) -> None:
    ben = await place.comes()
    for _ in range(3):
        jobs = [(await ben.says("/imagine a fox --steps 1"))["job"] for _ in range(12)]
        await ben.sees(jobs[-1], lambda card: card["state"] == "succeeded")
    ana = await comes()
    await expect(ana.page.locator(".card")).to_have_count(30)

    await ana.page.locator("#scroll").evaluate("one => one.scrollTo(0, 0)")

    await expect(ana.page.locator(".card")).to_have_count(36)
    await expect(ana.page.get_by_role("button", name="Show older")).to_be_hidden()
    await ana.page.get_by_role("button", name="Newest").click()
    await expect(ana.page.locator(".card").last).to_be_in_viewport()


async def test_the_token_is_asked_for_once(tmp_path: Path) -> None:
    async with a_place(tmp_path / "guarded", token="open sesame, please") as place, a_browser() as browser:
        page = await (await browser.new_context()).new_page()
        await page.goto(place.address)
        field = page.get_by_label("This chat is private")

        await field.last.fill("open barley")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert").filter(has_text="not the token")).to_be_visible()
        await field.last.fill("open sesame, please")
        await page.keyboard.press("Enter")

        await expect(page.locator("#state")).to_have_text("Connected")
        await page.reload()
        await expect(page.locator("#state")).to_have_text("Connected")
