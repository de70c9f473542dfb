"""The environment variables that the engine gets: what it needs to compute and to download models.

It reads files of strangers, so it gets no secret of a chat. It does get HF_TOKEN, since it is the engine
that downloads the models which ask for it.
"""

from collections.abc import Mapping

NEEDED = frozenset(
    {
        # paths, language, time zone
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "PWD"),
        *("TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD"),
        # how to reach the model hub
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
NEEDED_FAMILIES = (
    *("LC_", "XDG_", "PYTHON", "MALLOC_"),
    *("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "DIFFUSERS_", "SAFETENSORS_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "CUBLAS_", "CUDNN_", "HIP_", "HSA_", "ROCR_", "ROCM_", "MIOPEN_"),
    *("TORCH", "PYTORCH_", "TRITON_", "BNB_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "VECLIB_"),
)


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of this environment that the engine gets."""
    return {
        name: value
        for name, value in environment.items()
        if name.upper() in NEEDED or name.startswith(NEEDED_FAMILIES)
    }
