// The number of a workgroup. A grid has at most 65535 workgroups in a dimension, so that longer ones are folded into
// two: the last line of the fold may have workgroups too many, which have nothing to do.
fn workgroup_number(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + group.y * groups.x;
}
