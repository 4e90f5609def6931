/* A minimal host in C, on wasmtime: it loads a module, computes attention by one call, and writes the bytes of the
 * result to its standard output.
 *
 *   cc hosts/c/attention.c -o attention -lwasmtime -lm
 *   ./attention src/flashwasm/_wasm/relaxed.wasm | sha256sum
 *
 * docs/abi.md explains each step. A program that includes wasm/abi.h cannot use its structures as they are, since
 * pointers have 32 bits in linear memory; here the fields are written in their order. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wasmtime_part.h"

/* Where each block of linear memory begins. The modules' own data lies below 128 KiB. */
enum {
    STACK = 128 << 10,
    STACK_END = STACK + (64 << 10),
    WORKSPACE = STACK_END,
    OPERANDS = WORKSPACE + (1 << 20),
    PAGES = 64,
    MOST_PAGES = 1 << 16,
    OPEN = 1 << 29,
};

enum { HEADS = 8, KEY_HEADS = 2, LENGTH = 300, DIM = 64, VALUE_DIM = 48 };

static uint8_t *memory;
static uint32_t end = OPERANDS;

static void fail(const char *what, const wasm_name_t *message) {
    fprintf(stderr, "%s: %.*s\n", what, message ? (int)message->size : 0, message ? message->data : "");
    exit(1);
}

/* Ends the program if there is an error or a trap. */
static void check(const char *what, const wasmtime_error_t *error, const wasm_trap_t *trap) {
    wasm_name_t message;
    if (error) wasmtime_error_message(error, &message);
    if (trap) wasm_trap_message(trap, &message);
    if (error || trap) fail(what, &message);
}

/* Returns the address of room for some floats, a multiple of 64. */
static uint32_t room(uint32_t count) {
    uint32_t address = end;
    end += (4 * count + 63) / 64 * 64;
    return address;
}

/* Returns the address of numbers in [-2, 2), which every language computes exactly. */
static uint32_t numbers(uint32_t count, uint32_t seed) {
    uint32_t address = room(count);
    float *values = (float *)(memory + address);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = i + (seed << 20), mixed = (n ^ n >> 7) * 2654435761u;
        values[i] = (float)(mixed >> 8) * 0x1p-22f - 2;
    }
    return address;
}

/* Writes the structure attention_f32_arguments, 48 integers and 3 floats, and returns its address. */
static uint32_t arguments_of(uint32_t q, uint32_t k, uint32_t v, uint32_t out, uint32_t lse) {
    // clang-format off
    const int32_t integers[48] = {
        WORKSPACE, (int32_t)q, (int32_t)k, (int32_t)v, (int32_t)out, (int32_t)lse,
        0, 0, 0, 0, 0, 0,            /* mask, alibi, sinks, k_scales, v_scales, partials */
        0, HEADS, HEADS / KEY_HEADS, /* head_begin, head_end, group */
        0, LENGTH,                   /* query_begin, query_end */
        0, LENGTH, 1,                /* key_begin, key_end, finish */
        LENGTH, LENGTH,              /* queries, keys */
        DIM, VALUE_DIM,              /* dim, value_dim */
        0, 0,                        /* storage, capacity: rows of floats */
        DIM, DIM, VALUE_DIM, VALUE_DIM,                                             /* from one row to the next */
        LENGTH * DIM, LENGTH * DIM, LENGTH * VALUE_DIM, LENGTH * VALUE_DIM, LENGTH, /* from one head to the next */
        0, 0, 0, 0,                  /* no mask */
        0, OPEN, 0,                  /* diagonal, before, after: the causal rule */
        0, 0, 0, 0, 0, 0,            /* no dropout */
    };
    // clang-format on
    const float floats[3] = {1, (float)(1 / sqrt(DIM)), 0}; /* kept_scale, scale, softcap */
    uint32_t address = room(51);
    memcpy(memory + address, integers, sizeof integers);
    memcpy(memory + address + sizeof integers, floats, sizeof floats);
    return address;
}

static wasmtime_module_t *load(wasm_engine_t *engine, const char *path) {
    FILE *file = fopen(path, "rb");
    static uint8_t bytes[1 << 20];
    size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (!file || fclose(file)) fail(path, NULL);
    wasmtime_module_t *module;
    check(path, wasmtime_module_new(engine, bytes, size, &module), NULL);
    return module;
}

static wasmtime_extern_t export_of(wasmtime_context_t *context, const wasmtime_instance_t *instance, const char *name) {
    wasmtime_extern_t found;
    if (!wasmtime_instance_export_get(context, instance, name, strlen(name), &found)) fail(name, NULL);
    return found;
}

int main(int count, char **values) {
    if (count != 2) return fprintf(stderr, "usage: attention MODULE.wasm\n"), 2;
    wasm_config_t *config = wasm_config_new();
    wasmtime_config_wasm_threads_set(config, true);
    wasmtime_config_shared_memory_set(config, true);
    wasmtime_config_wasm_relaxed_simd_set(config, true);
    /* A multiply-add is then rounded once on every processor, as the promise of bits asks. */
    wasmtime_config_wasm_relaxed_simd_deterministic_set(config, true);
    wasm_engine_t *engine = wasm_engine_new_with_config(config);
    wasmtime_module_t *module = load(engine, values[1]);

    wasm_memorytype_t *type;
    check("memory", wasmtime_memorytype_new(PAGES, true, MOST_PAGES, false, true, 16, &type), NULL);
    wasmtime_extern_t import = {.kind = WASMTIME_EXTERN_SHAREDMEMORY};
    check("memory", wasmtime_sharedmemory_new(engine, type, &import.of.sharedmemory), NULL);
    memory = wasmtime_sharedmemory_data(import.of.sharedmemory);

    wasmtime_store_t *store = wasmtime_store_new(engine, NULL, NULL);
    wasmtime_context_t *context = wasmtime_store_context(store);
    wasmtime_instance_t instance;
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error = wasmtime_instance_new(context, module, &import, 1, &instance, &trap);
    check("instance", error, trap);
    wasmtime_extern_t stack_pointer = export_of(context, &instance, "__stack_pointer");
    wasmtime_val_t top = {.kind = WASMTIME_I32, .of.i32 = STACK_END};
    check("__stack_pointer", wasmtime_global_set(context, &stack_pointer.of.global, &top), NULL);

    uint32_t q = numbers(HEADS * LENGTH * DIM, 1), k = numbers(KEY_HEADS * LENGTH * DIM, 2);
    uint32_t v = numbers(KEY_HEADS * LENGTH * VALUE_DIM, 3);
    uint32_t out = room(HEADS * LENGTH * VALUE_DIM), lse = room(HEADS * LENGTH);
    wasmtime_val_t argument = {.kind = WASMTIME_I32, .of.i32 = (int32_t)arguments_of(q, k, v, out, lse)}, status;
    wasmtime_extern_t kernel = export_of(context, &instance, "attention_f32");
    error = wasmtime_func_call(context, &kernel.of.func, &argument, 1, &status, 1, &trap);
    check("attention_f32", error, trap);
    if (status.of.i32 != 0) fail("attention_f32 refused its arguments", NULL);
    fwrite(memory + out, sizeof(float), HEADS * LENGTH * VALUE_DIM, stdout);
    fwrite(memory + lse, sizeof(float), HEADS * LENGTH, stdout);

    wasmtime_store_delete(store);
    wasmtime_sharedmemory_delete(import.of.sharedmemory);
    wasm_memorytype_delete(type);
    wasmtime_module_delete(module);
    wasm_engine_delete(engine);
    return 0;
}
