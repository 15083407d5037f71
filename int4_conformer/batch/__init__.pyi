from .audio_inputs import Recording as Recording
from .job_summary import JobSummary as JobSummary
from .local_run import transcribe_many as transcribe_many
from .transcriber import Transcriber as Transcriber
from .transcriber import TranscriberConfig as TranscriberConfig
