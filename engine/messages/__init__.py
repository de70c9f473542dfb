"""All that the bot and the engine share: frozen requests and events that refuse nonsense when made.

Standard library only. Requests travel from the bot to the engine, events the other way, pickled over one
socket between two processes of the same installation.
"""

from engine.messages.checks import (
    ADAPTER_NAME,
    PROMPT_CHARACTERS,
    InvalidRequest,
    adapter_name,
    readable,
    whole,
    within,
)
from engine.messages.files import (
    INCOMING,
    Folder,
    Sha256,
    stored_at,
)
from engine.messages.jobs import (
    Cancel,
    Cancelled,
    Failed,
    Flagged,
    JobId,
)
from engine.messages.library import (
    MERGED_RANK,
    Admit,
    Admitted,
    Merge,
    Merged,
)
from engine.messages.likeness import Face, Liken, Likened
from engine.messages.painting import (
    ADAPTER_WEIGHT,
    ADAPTERS_AT_ONCE,
    COUNT,
    GUIDANCE,
    LCM_STEPS,
    REFINER,
    SEED,
    SIDE,
    SIDE_MULTIPLE,
    STEPS,
    VARIANTS,
    VARIATION,
    AdapterUse,
    Paint,
    Painted,
    Picture,
    Progress,
    Ratio,
    Sampler,
    Score,
    Size,
    Variant,
    seeds,
)
from engine.messages.process import (
    CannotStart,
    EngineSettings,
    Idle,
    Ready,
    Shutdown,
    Working,
)
from engine.messages.training import (
    ACCUMULATION,
    ADAMW_RATE,
    ALPHA,
    BATCH,
    BLOCK,
    CAPTION_CHARACTERS,
    CAPTION_DROPOUT,
    CLIPPING,
    DROPOUT,
    EPOCHS,
    EXAMPLES,
    GAMMA,
    HELD_OUT,
    LEARNING_RATE,
    NEW_TOKENS,
    NOISE_OFFSET,
    PRIOR_PICTURES,
    RANK,
    RESOLUTION,
    SAMPLES,
    SHARE,
    TRAINING_STEPS,
    TRIGGER,
    WEIGHT_DECAY,
    Example,
    Inspect,
    Inspected,
    Learning,
    Note,
    Optimizer,
    Prior,
    Saved,
    Schedule,
    StopTraining,
    Train,
    Trained,
    TrainingPrecision,
    TrainingSettings,
    filled,
)

Work = Paint | Train
"""What waits in the queue, and takes a while."""
Look = Inspect | Admit | Merge | Liken
"""What is done beside them while somebody waits."""
Request = Work | Look | StopTraining | Cancel | Shutdown
Event = (
    Ready
    | CannotStart
    | Working
    | Idle
    | Progress
    | Painted
    | Inspected
    | Admitted
    | Merged
    | Likened
    | Learning
    | Saved
    | Trained
    | Failed
    | Cancelled
)

__all__ = [
    "ACCUMULATION",
    "ADAMW_RATE",
    "ADAPTERS_AT_ONCE",
    "ADAPTER_NAME",
    "ADAPTER_WEIGHT",
    "ALPHA",
    "BATCH",
    "BLOCK",
    "CAPTION_CHARACTERS",
    "CAPTION_DROPOUT",
    "CLIPPING",
    "COUNT",
    "DROPOUT",
    "EPOCHS",
    "EXAMPLES",
    "GAMMA",
    "GUIDANCE",
    "HELD_OUT",
    "INCOMING",
    "LCM_STEPS",
    "LEARNING_RATE",
    "MERGED_RANK",
    "NEW_TOKENS",
    "NOISE_OFFSET",
    "PRIOR_PICTURES",
    "PROMPT_CHARACTERS",
    "RANK",
    "REFINER",
    "RESOLUTION",
    "SAMPLES",
    "SEED",
    "SHARE",
    "SIDE",
    "SIDE_MULTIPLE",
    "STEPS",
    "TRAINING_STEPS",
    "TRIGGER",
    "VARIANTS",
    "VARIATION",
    "WEIGHT_DECAY",
    "AdapterUse",
    "Admit",
    "Admitted",
    "Cancel",
    "Cancelled",
    "CannotStart",
    "EngineSettings",
    "Event",
    "Example",
    "Face",
    "Failed",
    "Flagged",
    "Folder",
    "Idle",
    "Inspect",
    "Inspected",
    "InvalidRequest",
    "JobId",
    "Learning",
    "Liken",
    "Likened",
    "Look",
    "Merge",
    "Merged",
    "Note",
    "Optimizer",
    "Paint",
    "Painted",
    "Picture",
    "Prior",
    "Progress",
    "Ratio",
    "Ready",
    "Request",
    "Sampler",
    "Saved",
    "Schedule",
    "Score",
    "Sha256",
    "Shutdown",
    "Size",
    "StopTraining",
    "Train",
    "Trained",
    "TrainingPrecision",
    "TrainingSettings",
    "Variant",
    "Work",
    "Working",
    "adapter_name",
    "filled",
    "readable",
    "seeds",
    "stored_at",
    "whole",
    "within",
]
