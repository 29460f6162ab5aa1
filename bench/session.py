"""The sides of a group of workloads, each with an appliance that lives as long as they do."""
import os

from material import new_side
from side import SideError


class Session:
    """images: {side: [its disks]}; mounts: [(device, directory)], the first at /; env: {side: {...}};
    warm(side): what a side does once before it is measured, for a guest's first time at everything is slower.

    The disks are the session's: they go with it, so that a group begins with empty ones.
    A side is launched when it is first asked for, and anew after it has failed, so that one
    failure costs one sample."""

    def __init__(self, work, images, mounts=(("/dev/sda", "/"),), env=None, warm=None):
        self.work, self.images, self.mounts = work, images, mounts
        self.env, self.warm, self.sides = env or {}, warm, {}

    def side(self, name):
        if name not in self.images:
            return None
        if name not in self.sides:
            self.sides[name] = self.launch(name)
        return self.sides[name]

    def launch(self, name):
        side = new_side(name, self.work, self.env.get(name))
        try:
            side.tell("launch", *self.images[name])
            for device, directory in self.mounts:
                if directory != "/":
                    side.tell("mkdir", directory)
                side.tell("mount", device, directory)
            if self.warm:
                self.warm(side)
        except SideError:
            side.close()
            raise
        side.has = set()  # what workloads know to be in the image
        return side

    def drop(self, name):
        side = self.sides.pop(name, None)
        if side:
            side.close()

    def close(self):
        for name in list(self.sides):
            try:
                self.sides[name].tell("shutdown")
            except SideError:
                pass  # it has failed before, and its sample says so
            self.drop(name)
        for path in {p for paths in self.images.values() for p in paths}:
            os.unlink(path)
