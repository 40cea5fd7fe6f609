"""The step `resolve_image`.

`image` pins the digest; `pull_through` handles images that a cache rule imports; `image_config`
reads the image's config, and `resolution` takes the values from it that the caller did not set.
"""
