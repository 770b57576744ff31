"""Draw a digit or show a photograph, watch a convolutional network decide, and train one.

Each package imports only what stands below it, and each module of a package only the modules of
that package to the right of it:

    __main__
    cli             train  sweep  predict  export  evaluate  models  arguments
    web         app tabs permalink session_token report_views curves endpoints components subject
                theme session server
    jobs            background queue  worker  job  messages  session
    training        sweep distributed resume logging finalize loop state optimizers finetuning
                    presets config
    plots           charts  grids  colormaps
    interpret       top_activations  attribution  trace  examples  arithmetic  layers
    evaluation      report  prediction  metrics  inference  percentages
    models      descriptions custom html web onnx checkpoints card architectures airbench layers
    data       custom ood outliers pen_strokes augmentation photos paper rules marks drawings
               datasets unipen synthetic_symbols synthetic strokes downloads
    files
    hardware
    settings

Nothing happens at import: no download, no device, no seed.
"""

__version__ = "1.0"


class UserError(Exception):
    """An error that a person can fix: what is wrong with its value, then what to do."""
