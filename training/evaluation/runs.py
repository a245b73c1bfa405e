"""Tables of finished runs: multitask finetuning and lens detection, from what the runs wrote down."""
