// The number of a workgroup. A grid has at most 65535 workgroups in a dimension, so a longer grid is folded into two
// dimensions. The last line of the fold may have surplus workgroups, which do nothing.
fn workgroup_number(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + group.y * groups.x;
}
