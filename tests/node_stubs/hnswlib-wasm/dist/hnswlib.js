// As the real one, it can only be loaded where a browser's names are.
if (typeof window === "undefined" || typeof indexedDB === "undefined") throw new Error("no browser");

class HierarchicalNSW {
  constructor(space, dim, file) {
    if (space !== "ip" || file !== "") throw new Error("unexpected arguments");
    this.dim = dim;
    this.points = [];
  }

  initIndex(count, m, efConstruction, seed) {
    if (![count, m, efConstruction, seed].every(Number.isInteger)) throw new Error("not integers");
  }

  addPoint(point, label, replace) {
    if (point.length !== this.dim || replace !== false) throw new Error("unexpected point");
    this.points.push({ point, label });
  }

  setEfSearch(ef) {
    this.ef = ef;
  }

  searchKnn(query, k, filter) {
    if (filter !== undefined || !(this.ef >= k)) throw new Error("unexpected search");
    const product = ({ point }) => point.reduce((sum, x, i) => sum + x * query[i], 0);
    const found = this.points
      .map((one) => ({ distance: 1 - product(one), label: one.label }))
      .sort((a, b) => a.distance - b.distance)
      .slice(0, k);
    return { distances: found.map((x) => x.distance), neighbors: found.map((x) => x.label) };
  }
}

export async function loadHnswlib() {
  console.log("Library initialized");
  return { HierarchicalNSW };
}
