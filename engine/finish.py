"""What is done to a picture once it is denoised: painted on at a larger size, enlarged, refined in tiles."""

from collections.abc import Generator, Sequence
from dataclasses import replace

from PIL import Image
from PIL.Image import Resampling

from engine.messages import (
    HIRES_STRENGTH,
    SEED,
    SIDE_MULTIPLE,
    EngineSettings,
    Finish,
    InvalidRequest,
    Paint,
    Sha256,
    Size,
    Source,
    check_enlarged,
    steps_at_strength,
)
from engine.picture_files import PictureFiles
from engine.sdxl.detail_areas import boxes_of, place_areas
from engine.sdxl.latent_decoder import Decoding
from engine.sdxl.model import CannotLoad, Model
from engine.sdxl.painting import Finishing, Painting
from engine.sdxl.sizes import hires_size, resolve_size
from engine.sdxl.source_picture import Canvas, SourcePictures
from engine.sdxl.tiles import join_tiles, place_overlapping
from engine.sdxl.word_masks import NotInCaption
from engine.vision.faces import FaceDetector
from engine.vision.safety import Safety, is_checked
from engine.vision.upscaler import Upscaler, load_upscaler

HIRES_FACTOR = 2  # what is painted on is enlarged so much first, and made smaller to its size
REFINE_GUIDANCE = 1.0  # none: a tile has a part of what the prompt names, and would be given all of it
OVERLAP = 8  # the part of a tile's side over which it fades into the next, when it is refined
FACES = ("face", "faces")
NO_UPSCALER = "Nothing enlarges pictures here. Whoever runs this bot can set [engine] upscaler."


class Finisher:
    """Plans and takes the steps that follow a picture's denoising."""

    def __init__(
        self,
        model: Model,
        settings: EngineSettings,
        safety: Safety,
        files: PictureFiles,
        sources: SourcePictures,
    ) -> None:
        """Raises CannotLoad where the configured upscaler cannot be loaded."""
        self._model = model
        self._safety = safety
        self._files = files
        self._sources = sources
        self._faces = FaceDetector()
        self._upscaler = load_upscaler(settings, model.device, model.precision)

    def resolve_size(self, request: Paint) -> Size:
        """The size to paint at. Raises InvalidRequest where that, or what follows it, cannot be done.

        A picture that is only finished has any size, which is read with it.
        """
        if request.finish.enlarge > 1:
            self._network()
        if not request.denoises:
            return request.size if isinstance(request.size, Size) else resolve_size(request.size, self._side)
        size = finished = resolve_size(request.size, self._side)
        if request.hires > 1:
            finished = hires_size(size, request.hires, self._side)
        check_enlarged(finished.width, finished.height, request.finish.enlarge)
        return size

    def _network(self) -> Upscaler:
        """The network that enlarges. Raises InvalidRequest where there is none."""
        if self._upscaler is None:
            raise InvalidRequest(NO_UPSCALER)
        try:
            return self._upscaler()
        except CannotLoad as error:
            raise InvalidRequest(str(error)) from error

    @property
    def _side(self) -> int:
        return self._model.side

    def count_steps(self, request: Paint, width: int, height: int) -> int:
        """How many steps follow the denoising of a picture of this size in pixels."""
        steps = 0
        if request.hires > 1:
            if self._upscaler is not None:
                steps += self._network().count_steps(width, height, HIRES_FACTOR)
            steps += steps_at_strength(request.steps, HIRES_STRENGTH)[1]
            size = hires_size(Size(width=width, height=height), request.hires, self._side)
            width, height = size.width, size.height
        if request.finish.detail:  # of one, since nobody knows yet how many there are
            steps += steps_at_strength(request.steps, request.finish.detail_strength)[1]
        factor = request.finish.enlarge
        if factor > 1 and self._upscaler is not None:
            steps += self._network().count_steps(width, height, factor)
            width, height = width * factor, height * factor
        if request.finish.refine:
            tiles = place_overlapping(width, height, self._tile_size(width, height), self._overlap)
            steps += len(tiles) * steps_at_strength(request.steps, request.finish.refine)[1]
        return steps

    def read_source(self, painting: Painting) -> None:
        """Take the next step towards the picture that it starts from. Raises InvalidRequest."""
        request = painting.request
        if painting.canvas is not None:
            painting.start = self._sources.encode(painting.canvas.picture)
        elif request.denoises:
            painting.start = self._sources.step(request)
            if painting.start is not None:
                painting.size = painting.start.size
                painting.finish_steps = self.count_steps(request, painting.size.width, painting.size.height)
        elif request.source is not None:
            picture = self._sources.read(request.source.sha256)
            painting.finish_steps = self.count_steps(request, *picture.size)
            self._begin(painting, picture)

    def read(self, painting: Painting, decoding: Decoding) -> None:
        """Take the decoded picture and begin to finish it, or let it be decoded again where it is broken."""
        if (picture := decoding.take()) is not None:
            self._begin(painting, picture if painting.start is None else painting.start.set_in(picture))

    def take_step(self, painting: Painting) -> Sequence[Painting]:
        """Take the next step of its finish, and begin its file after the last. Returns its new parts."""
        if (picture := painting.take_finish_step()) is not None:
            self._begin_file(painting, picture)
        return painting.parts

    def _begin(self, painting: Painting, picture: Image.Image) -> None:
        """Begin what follows the denoising of this picture, or its file."""
        painting.image = picture
        request = painting.request
        if painting.canvas is not None:
            return  # who waits for this part takes it
        if request.hires == 1 and request.finish == Finish():
            self._begin_file(painting, picture)
        else:
            painting.finishing = self._finish(painting, picture)

    def _begin_file(self, painting: Painting, picture: Image.Image) -> None:
        """Check the finished picture and begin its file."""
        flagged = is_checked(self._safety, painting.request) and self._safety.check([picture])[0]
        painting.picture = self._files.submit(painting, picture, flagged=flagged)

    def _finish(self, painting: Painting, picture: Image.Image) -> Finishing:
        request = painting.request
        if request.hires > 1:
            picture = yield from self._paint_larger(painting, picture)
        if request.finish.detail:
            picture = yield from self._mend(painting, picture)
        if request.finish.enlarge > 1:
            picture = yield from self._enlarge(picture, request.finish.enlarge)
        if request.finish.refine:
            picture = yield from self._refine(painting, picture)
        return picture

    def _mend(self, painting: Painting, picture: Image.Image) -> Finishing:
        """Paint the details that the request names again, each at the model's full area, and set them in."""
        finish = painting.request.finish
        if finish.detail.strip().lower() in FACES:
            yield ()
            boxes = self._faces.find(picture)
        else:
            try:
                words = self._sources.find(picture, painting.request.prompt, finish.detail)
                mask = yield from _without_parts(words)
            except NotInCaption:
                painting.details = 0
                return picture
            boxes = list(boxes_of(mask))
        areas = place_areas(boxes, picture)
        painting.details = len(areas)
        cuts = [area.cut_out(picture, self._side) for area in areas]
        parts = [
            self._make_part(
                painting,
                Canvas(picture=cut, left=0, top=0, whole=cut.size),
                painting.request,
                finish.detail_strength,
                number,
            )
            for number, cut in enumerate(cuts)
        ]
        yield parts
        for area, part in zip(areas, parts, strict=True):
            picture = area.set_in(picture, part.finished_image)
        return picture

    def _enlarge(self, picture: Image.Image, factor: int) -> Finishing:
        check_enlarged(*picture.size, factor)
        return _without_parts(self._network().enlarge(picture, factor))

    def _paint_larger(self, painting: Painting, picture: Image.Image) -> Finishing:
        """Enlarge the picture, and paint on from it at the larger size."""
        size = hires_size(painting.size, painting.request.hires, self._side)
        if self._upscaler is not None:
            picture = yield from self._enlarge(picture, HIRES_FACTOR)
        picture = picture.resize((size.width, size.height), Resampling.LANCZOS)
        canvas = Canvas(picture=picture, left=0, top=0, whole=picture.size)
        part = self._make_part(painting, canvas, painting.request, HIRES_STRENGTH)
        yield (part,)
        return part.finished_image

    def _refine(self, painting: Painting, picture: Image.Image) -> Finishing:
        """Paint on from the picture in tiles, each with noise of its own and told where it lies."""
        request = replace(painting.request, guidance_scale=REFINE_GUIDANCE)
        areas = place_overlapping(*picture.size, self._tile_size(*picture.size), self._overlap)
        parts = [
            self._make_part(
                painting,
                Canvas(
                    picture=picture.crop((area.left, area.top, area.right, area.bottom)),
                    left=area.left,
                    top=area.top,
                    whole=picture.size,
                ),
                request,
                request.finish.refine,
                number,
            )
            for number, area in enumerate(areas)
        ]
        yield parts
        return join_tiles(picture, areas, [part.finished_image for part in parts], self._overlap)

    @property
    def _overlap(self) -> int:
        return self._side // OVERLAP

    def _tile_size(self, width: int, height: int) -> tuple[int, int]:
        """The size of the tiles of such a picture: the model's own, or what fits in it."""
        across, down = (
            min(self._side, pixels // SIDE_MULTIPLE * SIDE_MULTIPLE) for pixels in (width, height)
        )
        return across, down

    def _make_part(
        self, painting: Painting, canvas: Canvas, request: Paint, strength: float, number: int = 0
    ) -> Painting:
        """A painting that goes on from this canvas by this recipe, without the refiner."""
        request = replace(
            request,
            source=Source(sha256=Sha256(""), strength=strength),
            steps=steps_at_strength(request.steps, strength)[0],
            refiner=0.0,
            blend=(),
            hires=1.0,
            finish=Finish(),
        )
        size = Size(width=canvas.picture.width, height=canvas.picture.height)
        seed, variation_seed = (
            (seed + number) % (SEED[1] + 1) for seed in (painting.seed, painting.variation_seed)
        )
        return Painting(request, seed, variation_seed, size, self._model, canvas)


def _without_parts(steps: Generator[None, None, Image.Image]) -> Finishing:
    """These steps as those of a finish, which leave no paintings to wait for."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            picture: Image.Image = end.value
            return picture
        yield ()
