"""Draw a digit or show a photograph, and a convolutional network answers.

The house, floor by floor; each module imports only what stands below it:

    page/                a file a tab; the only rooms that know gradio
    __main__             the command line
    commands/            a file a group of commands: train, sweep, evaluate, predict, ...
    classroom
    resumption  lesson  journey  record  distributed  sweep
    review  charts  excitement  export
    training
    runs  prediction  visualization  explanation  walkthrough
    evaluation  checkpoints  optimization  strangers
    recipes
    models  preprocessing  augmentation
    layers
    datasets
    handwriting
    strokes  hardware  colors  downloads

Nothing happens at import: no download, no device, no seed.
"""

__version__ = "1.0"


class UserError(Exception):
    """What a person can mend: a sentence on what is wrong with its value, then what to do."""
