"""Boxes and what a detector says of them: anchors, matching, coding, centre points, decoding.

Torch and boxes only; networks and losses build on it. Boxes are corners ``(N, 2n)`` in the frame of
the patch, counted in voxel edges as `medseg.geometry.boxes` says.
"""
