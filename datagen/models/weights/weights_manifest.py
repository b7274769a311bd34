"""Every published model that pairbridge can use: its licence, its pinned revision, the files it needs.

Revisions and checksums are those under which other public projects pin these files (none is downloaded to
build this list); `sha256` is None where no published checksum is known. `pairbridge weights check` says for
each file which of the two it could prove. Only safetensors, JSON and text are listed: nothing here can run.
"""

from dataclasses import dataclass

_OPENRAIL = "CreativeML OpenRAIL-M"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """One file of a model, by its path within the model's folder, which is also its path on the hub."""

    path: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A published model. `revision` is a commit of `repository`; None: no pin is known."""

    id: str
    purpose: str
    repository: str
    revision: str | None
    licence: str
    # What the licence is known from: an unclear licence is said to be unclear.
    licence_note: str = ""
    commercial_use: bool = True
    files: tuple[WeightFile, ...]

    @property
    def terms(self) -> str:
        """Its licence in one line, as shown before anything is done with it."""
        limits = "" if self.commercial_use else "NON-COMMERCIAL: "
        note = f" ({self.licence_note})" if self.licence_note else ""
        return f"{limits}{self.licence}{note}"


def _stable_diffusion(*, unet_sha256: str | None = None) -> tuple[WeightFile, ...]:
    """The parts of a Stable Diffusion 1.5 folder in diffusers' layout that IC-Light needs."""
    return (
        WeightFile(path="text_encoder/config.json"),
        WeightFile(path="text_encoder/model.safetensors"),
        WeightFile(path="tokenizer/merges.txt"),
        WeightFile(path="tokenizer/tokenizer_config.json"),
        WeightFile(path="tokenizer/vocab.json"),
        WeightFile(path="unet/config.json"),
        WeightFile(path="unet/diffusion_pytorch_model.safetensors", sha256=unet_sha256),
        WeightFile(path="vae/config.json"),
        WeightFile(path="vae/diffusion_pytorch_model.safetensors"),
    )


# Of ZhengPeng7/<id> on the hub: what for, the pinned revision, and the checksum of model.safetensors.
_BIREFNET = {
    "BiRefNet-matting": "masks with soft edges, 1024 x 1024",
    "BiRefNet_HR-matting": "masks with soft edges, 2048 x 2048",
    "BiRefNet_dynamic": "masks at the image's own size, 256 to 2304",
    "BiRefNet_dynamic-matting": "masks with soft edges at the image's own size, 256 to 2304",
    "BiRefNet": "masks with nearly binary edges, 1024 x 1024",
    "BiRefNet_lite": "masks by a small backbone, 1024 x 1024",
    "BiRefNet_HR": "masks with nearly binary edges, 2048 x 2048",
    "BiRefNet_lite-2K": "masks by a small backbone, 2560 x 1440",
    "BiRefNet_512x512": "masks with nearly binary edges, 512 x 512",
    "BiRefNet-portrait": "masks of people, 1024 x 1024",
}
_REVISIONS = {
    "BiRefNet-matting": "57f9f68b43ba337c75762b14cf3075d659007268",
    "BiRefNet_HR-matting": "5d6b6f8adcb5b417c871b1d84ceaae9871355b7f",
    "BiRefNet_dynamic": "280306042f57b7a33854319da62fd86aaa89ec4c",
    "BiRefNet": "e2bf8e4460fc8fa32bba5ea4d94b3233d367b0e4",
    "BiRefNet_lite": "aa62cd87eafb9cc43056d08ef3615a14628b831d",
}
_SHA256 = {
    "BiRefNet-matting": "a9875de5b1e6c8eb5fdaa8c727a82927ce442cdc87ba3abee6a77e6fa46c25bb",
    "BiRefNet_dynamic": "e3d2e4884e51ff30f0cd630edc6b1e41b06b7f23a0a2a5169f7b7cb33a711c2d",
}


MODELS: tuple[Model, ...] = (
    Model(
        id="ic-light",
        purpose="relighting: offsets (fbc and fc) on a Stable Diffusion 1.5 network",
        repository="lllyasviel/ic-light",
        revision="f5950d474dc0cd5bb5a0c66189534cd13f28eb70",
        licence="not stated by its authors",
        licence_note="the code is Apache-2.0; the merged network also inherits its base model's licence",
        files=(
            WeightFile(
                path="iclight_sd15_fbc.safetensors",
                sha256="bb8ccedaa4944b16cfa8356afcbc2c2174cc4c4af57de19124ae0cddd0d96947",
            ),
            WeightFile(
                path="iclight_sd15_fc.safetensors",
                sha256="a033fbaaa2f3f7859fa6a4477ee63ebbf9c116bf3569d5811856d2807f3468cd",
            ),
        ),
    ),
    Model(
        id="realistic-vision-v51",
        purpose="relighting: the base model of IC-Light's own demonstration",
        repository="stablediffusionapi/realistic-vision-v51",
        revision="19e3643d7d963c156d01537188ec08f0b79a514a",
        licence=_OPENRAIL,
        licence_note="with use restrictions that pass to what is derived from it",
        files=_stable_diffusion(),
    ),
    Model(
        id="stable-diffusion-v1-5",
        purpose="relighting: the plain base model",
        repository="stable-diffusion-v1-5/stable-diffusion-v1-5",
        revision="f03de327dd89b501a01da37fc5240cf4fdba85a1",
        licence=_OPENRAIL,
        licence_note="with use restrictions that pass to what is derived from it",
        files=_stable_diffusion(
            unet_sha256="19da7aaa4b880e59d56843f1fcb4dd9b599c28a1d9d9af7c1143057c8ffae9f1"
        ),
    ),
    *(
        Model(
            id=model_id,
            purpose=purpose,
            repository=f"ZhengPeng7/{model_id}",
            revision=_REVISIONS.get(model_id),
            licence="MIT",
            files=(WeightFile(path="model.safetensors", sha256=_SHA256.get(model_id)),),
        )
        for model_id, purpose in _BIREFNET.items()
    ),
    Model(
        id="RMBG-2.0",
        purpose="masks with nearly binary edges, 1024 x 1024 (BiRefNet's architecture)",
        repository="briaai/RMBG-2.0",
        revision=None,
        licence="CC BY-NC 4.0",
        licence_note="commercial use needs an agreement with BRIA; its download asks for a login",
        commercial_use=False,
        files=(WeightFile(path="model.safetensors"),),
    ),
)


def find_files(model_id: str) -> tuple[str, ...]:
    """Paths of one model's files."""
    return tuple(file.path for model in MODELS if model.id == model_id for file in model.files)
