"""/describe: words for a picture, which paint one like it."""

from commands.answers import RunTask, Text
from commands.context import ChatContext
from commands.shared_options import PictureOption
from commands.source_pictures import resolve_picture
from commands.syntax.quotes import quote
from commands.syntax.spec import form_command
from engine.messages import Described, DescribePicture, InvalidRequest

NOTHING = "The captioner has no words for that picture."


@form_command("Describe it")
async def describe(
    context: ChatContext,
    image: PictureOption = None,
) -> RunTask:
    """Get words for a picture, to paint one like it."""
    if image is None:
        raise InvalidRequest("Which picture? Send one, or name a job's, such as /describe k3f9qa:2.")
    picture = await resolve_picture(context, image)

    async def finish(context: ChatContext, result: Described) -> Text:
        return Text(text="\n".join(_lines(result.captions)) or NOTHING)

    return RunTask(request=DescribePicture(job=context.job, picture=picture.sha256), finish=finish)


def _lines(captions: tuple[str, ...]) -> list[str]:
    """The commands that paint these, to copy."""
    return [f"/imagine {quote(caption) if '--' in caption else caption}" for caption in captions]
