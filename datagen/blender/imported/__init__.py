"""What files bring into the scene: objects, their materials made to look as their authors saw them, materials
of the user's maps, and the geometry that Blender makes of all. Needs bpy.
"""
