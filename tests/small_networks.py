"""Architectures small enough for every test."""

SMALL = {
    "fully-connected-2-7": {},
    "convolutional-2-5": {},
    "convolutional-1-5": {"pooling": True},
    "myrtle-5": {"width": 3},
    "myrtle-7": {"width": 2},
    "myrtle-10": {"width": 2},
    "vgg-11": {"width": 2, "stages": 3},
    "resnet-8": {"width": 3},
    "wrn-10-2": {"width": 2},
}
