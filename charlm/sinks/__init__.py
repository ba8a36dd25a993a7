"""Where else a run's logs go: TensorBoard, Trackio, Weights & Biases. They never stop a run.

names        which there are, and whether their packages are there
sink         what each of them does, and what it is told of the run
delivery     a queue and a thread between the run, which must not wait, and a sink, which may
tensorboard, trackio, wandb   one file each; they import their package when opened
opening      from names to what a run's progress can be given

A sink is handed what metrics.jsonl and timings.jsonl get, and knows nothing else of training;
training knows its observers, and nothing of sinks.
"""
