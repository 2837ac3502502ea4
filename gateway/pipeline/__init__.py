"""The sound's path, stage by stage: text -> segmenter -> synthesis -> transcoding -> pacing -> the dialect's frames."""
