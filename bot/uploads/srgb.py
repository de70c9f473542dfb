"""Pictures whose numbers mean colours of another space, such as phones and cameras send: in sRGB."""

import io

from PIL import Image, ImageCms

SRGB = ("sRGB", "sRGB built-in", "sRGB IEC61966-2.1")  # what such profiles call themselves
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of pictures, by the colours that a profile is of
PLAIN = {"1": "L", "LA": "L", "La": "L", "L": "L", "CMYK": "CMYK"}  # without what is clear; others are RGB
DEVICES = ("mntr", "scnr", "prtr", "spac")  # the classes of profiles that tell what a picture's numbers mean
CLEAR = ("RGBA", "LA", "PA", "La", "RGBa")


def in_srgb(picture: Image.Image) -> Image.Image:
    """The picture in RGB, or in RGBA if anything of it may be clear, by the profile that it brings, if any.

    A profile that is broken, or of other colours than the picture has, is ignored.
    """
    profile = _profile(picture.info.get("icc_profile"))
    clear = picture.mode in CLEAR or "transparency" in picture.info
    if profile is None:
        return picture.convert("RGBA" if clear else "RGB")
    alpha = picture.convert("RGBA").getchannel("A") if clear else None
    picture.info.pop("transparency", None)
    shown = _transformed(picture.convert(PLAIN.get(picture.mode, "RGB")), profile)
    if alpha is not None:
        shown.putalpha(alpha)
    return shown


def _profile(content: object) -> ImageCms.ImageCmsProfile | None:
    """The profile, unless it is broken, or says nothing but what holds anyway."""
    if not isinstance(content, bytes) or not content:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        named = (profile.profile.profile_description or "").strip()
        usual = named in SRGB or profile.profile.device_class.strip() not in DEVICES
        return None if usual else profile
    except Exception:  # of what a stranger's profile makes littleCMS and Pillow raise there is no list
        return None


def _transformed(picture: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    try:
        wanted = MODES.get(profile.profile.xcolor_space.strip())
        if wanted == "RGB" and picture.mode == "L":
            picture = picture.convert("RGB")  # grey, and marked as a colour picture's grey
        if picture.mode == wanted:
            srgb = ImageCms.createProfile("sRGB")
            seen = ImageCms.profileToProfile(picture, profile, srgb, outputMode="RGB")
            return picture.convert("RGB") if seen is None else seen
    except Exception:  # as above: the picture is as it was before profiles were heeded
        pass
    return picture.convert("RGB")
