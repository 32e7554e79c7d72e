"""Long jobs on one machine whose output is a folder of files, and which can be resumed.

A file appears under its own name when it is complete, and not before. If the same command is given
again, it writes the missing files only. The files do not depend on where a run was interrupted.
"""

from rnvp_runtime.shards.folder_scoring import FolderScores, score_folder
from rnvp_runtime.shards.job_folder import check_file_format
from rnvp_runtime.shards.shard_sampling import SampledShards, sample_shards

__all__ = ["FolderScores", "SampledShards", "check_file_format", "sample_shards", "score_folder"]
