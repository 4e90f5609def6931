/* The part of wasmtime's C interface that attention.c uses, declared anew.
 *
 * With wasmtime's own headers, which its "C API" releases hold, `#include <wasmtime.h>` replaces this file. The
 * library in the Python package `wasmtime` comes without headers. The declarations are those of wasmtime 50. */
#ifndef WASMTIME_PART_H
#define WASMTIME_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wasm_config wasm_config_t;
typedef struct wasm_engine wasm_engine_t;
typedef struct wasm_memorytype wasm_memorytype_t;
typedef struct wasm_trap wasm_trap_t;
typedef struct wasmtime_context wasmtime_context_t;
typedef struct wasmtime_error wasmtime_error_t;
typedef struct wasmtime_module wasmtime_module_t;
typedef struct wasmtime_sharedmemory wasmtime_sharedmemory_t;
typedef struct wasmtime_store wasmtime_store_t;

typedef struct {
    size_t size;
    char *data;
} wasm_name_t;

typedef struct {
    uint64_t store_id;
    void *index;
} wasmtime_func_t;

typedef struct {
    uint64_t store_id;
    uint32_t index[3];
} wasmtime_global_t;

typedef struct {
    uint64_t store_id;
    size_t index;
} wasmtime_instance_t;

enum { WASMTIME_EXTERN_FUNC = 0, WASMTIME_EXTERN_GLOBAL = 1, WASMTIME_EXTERN_SHAREDMEMORY = 4 };

typedef struct {
    uint8_t kind;
    union {
        wasmtime_func_t func;
        wasmtime_global_t global;
        wasmtime_sharedmemory_t *sharedmemory;
        struct {
            uint64_t store_id;
            uint32_t index[4];
        } largest;
    } of;
} wasmtime_extern_t;

enum { WASMTIME_I32 = 0, WASMTIME_F32 = 2 };

typedef struct {
    uint8_t kind;
    union {
        int32_t i32;
        float f32;
        struct {
            uint64_t store_id;
            uint32_t index[2];
            void *pointer;
        } largest;
    } of;
} wasmtime_val_t;

wasm_config_t *wasm_config_new(void);
void wasmtime_config_wasm_threads_set(wasm_config_t *, bool);
void wasmtime_config_shared_memory_set(wasm_config_t *, bool);
void wasmtime_config_wasm_relaxed_simd_set(wasm_config_t *, bool);
void wasmtime_config_wasm_relaxed_simd_deterministic_set(wasm_config_t *, bool);
wasm_engine_t *wasm_engine_new_with_config(wasm_config_t *);
void wasm_engine_delete(wasm_engine_t *);

wasmtime_error_t *wasmtime_module_new(wasm_engine_t *, const uint8_t *bytes, size_t size, wasmtime_module_t **);
void wasmtime_module_delete(wasmtime_module_t *);

wasmtime_error_t *wasmtime_memorytype_new(uint64_t pages, bool has_maximum, uint64_t maximum, bool is_64, bool shared,
                                          uint8_t page_size_log2, wasm_memorytype_t **);
void wasm_memorytype_delete(wasm_memorytype_t *);
wasmtime_error_t *wasmtime_sharedmemory_new(wasm_engine_t *, const wasm_memorytype_t *, wasmtime_sharedmemory_t **);
uint8_t *wasmtime_sharedmemory_data(const wasmtime_sharedmemory_t *);
void wasmtime_sharedmemory_delete(wasmtime_sharedmemory_t *);

wasmtime_store_t *wasmtime_store_new(wasm_engine_t *, void *data, void (*finalizer)(void *));
wasmtime_context_t *wasmtime_store_context(wasmtime_store_t *);
void wasmtime_store_delete(wasmtime_store_t *);

wasmtime_error_t *wasmtime_instance_new(wasmtime_context_t *, const wasmtime_module_t *,
                                        const wasmtime_extern_t *imports, size_t import_count, wasmtime_instance_t *,
                                        wasm_trap_t **);
bool wasmtime_instance_export_get(wasmtime_context_t *, const wasmtime_instance_t *, const char *name, size_t length,
                                  wasmtime_extern_t *);
wasmtime_error_t *wasmtime_global_set(wasmtime_context_t *, const wasmtime_global_t *, const wasmtime_val_t *);
wasmtime_error_t *wasmtime_func_call(wasmtime_context_t *, const wasmtime_func_t *, const wasmtime_val_t *arguments,
                                     size_t argument_count, wasmtime_val_t *results, size_t result_count,
                                     wasm_trap_t **);

void wasmtime_error_message(const wasmtime_error_t *, wasm_name_t *);
void wasm_trap_message(const wasm_trap_t *, wasm_name_t *);

#endif
