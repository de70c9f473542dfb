"""Converts pictures with colour profiles, as phones and cameras write them, to sRGB."""

import io

from PIL import Image, ImageCms

SRGB = ("sRGB", "sRGB built-in", "sRGB IEC61966-2.1")  # names of profiles that mean sRGB
MODES = {
    "RGB": "RGB",
    "GRAY": "L",
    "CMYK": "CMYK",
}  # the mode of a picture, by the colour space of its profile
PLAIN = {"1": "L", "LA": "L", "La": "L", "L": "L", "CMYK": "CMYK"}  # modes without alpha; others are RGB
DEVICES = ("mntr", "scnr", "prtr", "spac")  # the classes of profiles that describe a picture's colours
CLEAR = ("RGBA", "LA", "PA", "La", "RGBa")


def to_srgb(picture: Image.Image) -> Image.Image:
    """The picture in RGB, or in RGBA if it may be transparent, converted by its profile if it has one.

    A profile that is broken, or for another mode than the picture's, is ignored.
    """
    profile = _profile(picture.info.get("icc_profile"))
    clear = picture.mode in CLEAR or "transparency" in picture.info
    if profile is None:
        return picture.convert("RGBA" if clear else "RGB")
    alpha = picture.convert("RGBA").getchannel("A") if clear else None
    picture.info.pop("transparency", None)
    shown = _transform(picture.convert(PLAIN.get(picture.mode, "RGB")), profile)
    if alpha is not None:
        shown.putalpha(alpha)
    return shown


def _profile(content: object) -> ImageCms.ImageCmsProfile | None:
    """The profile, unless it is broken, or sRGB anyway."""
    if not isinstance(content, bytes) or not content:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        named = (profile.profile.profile_description or "").strip()
        usual = named in SRGB or profile.profile.device_class.strip() not in DEVICES
        return None if usual else profile
    except Exception:  # a hostile profile may make littleCMS and Pillow raise anything
        return None


def _transform(picture: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    try:
        wanted = MODES.get(profile.profile.xcolor_space.strip())
        if wanted == "RGB" and picture.mode == "L":
            picture = picture.convert("RGB")  # grey with an RGB profile
        if picture.mode == wanted:
            srgb = ImageCms.createProfile("sRGB")
            seen = ImageCms.profileToProfile(picture, profile, srgb, outputMode="RGB")
            return picture.convert("RGB") if seen is None else seen
    except Exception:  # as above: the picture is used without its profile
        pass
    return picture.convert("RGB")
