/* ort.h: onnxruntime's C API, as much of it as drawing samples needs, opened at run time.

   Where the official header is on the include path (-I onnxruntime/include), it is used. Where it
   is not, the declarations below stand in: the API is a table of functions whose order never
   changes, since new ones only join at its end, so a few functions and their places are enough.
   ORT_SLOTS names each place; the assertions at the end hold either header to it.

   The library is opened when the program starts, not linked, so one binary runs with any
   onnxruntime from 1.21 on, among them the one inside Python's onnxruntime package. */

#ifndef RNVP_ORT_H
#define RNVP_ORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#ifndef __cplusplus
int setenv(const char *name, const char *value, int replace); /* ISO C leaves it out of stdlib.h */
#endif
#endif

#ifdef __has_include
#if __has_include(<onnxruntime_c_api.h>)
#include <onnxruntime_c_api.h>
#endif
#endif

#define ORT_LEAST 21 /* API version 21 came with onnxruntime 1.21, the first to run a bundle */

/* (place in the table, function) */
#define ORT_SLOTS(SLOT)                      \
    SLOT(2, GetErrorMessage)                 \
    SLOT(3, CreateEnv)                       \
    SLOT(7, CreateSession)                   \
    SLOT(8, CreateSessionFromArray)          \
    SLOT(9, Run)                             \
    SLOT(10, CreateSessionOptions)           \
    SLOT(24, SetIntraOpNumThreads)           \
    SLOT(30, SessionGetInputCount)           \
    SLOT(33, SessionGetInputTypeInfo)        \
    SLOT(49, CreateTensorWithDataAsOrtValue) \
    SLOT(51, GetTensorMutableData)           \
    SLOT(55, CastTypeInfoToTensorInfo)       \
    SLOT(60, GetTensorElementType)           \
    SLOT(61, GetDimensionsCount)             \
    SLOT(62, GetDimensions)                  \
    SLOT(65, GetTensorTypeAndShape)          \
    SLOT(69, CreateCpuMemoryInfo)            \
    SLOT(92, ReleaseEnv)                     \
    SLOT(93, ReleaseStatus)                  \
    SLOT(94, ReleaseMemoryInfo)              \
    SLOT(95, ReleaseSession)                 \
    SLOT(96, ReleaseValue)                   \
    SLOT(98, ReleaseTypeInfo)                \
    SLOT(99, ReleaseTensorTypeAndShapeInfo)  \
    SLOT(100, ReleaseSessionOptions)

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ORT_API_VERSION /* no official header */

#ifdef _WIN32
#define ORT_API_CALL __stdcall
#define ORT_TSTR(text) L##text
typedef wchar_t ORTCHAR_T;
#else
#define ORT_API_CALL
#define ORT_TSTR(text) text
typedef char ORTCHAR_T;
#endif

typedef struct OrtStatus OrtStatus; /* NULL: all went well */
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtValue OrtValue;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;

typedef enum { ORT_LOGGING_LEVEL_ERROR = 3 } OrtLoggingLevel;
typedef enum { OrtArenaAllocator = 1 } OrtAllocatorType;
typedef enum { OrtMemTypeDefault = 0 } OrtMemType;
typedef enum {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE = 11
} ONNXTensorElementDataType;

/* Places nobody here asks for, first to last. */
#define ORT_SKIP(first, last) void (*skip_##first[(last) - (first) + 1])(void)
#define ORT_FALLIBLE(name) OrtStatus *(ORT_API_CALL *name)
#define ORT_RELEASE(Type) void(ORT_API_CALL *Release##Type)(Ort##Type * handle)

typedef struct OrtApi {
    ORT_SKIP(0, 1);
    const char *(ORT_API_CALL *GetErrorMessage)(const OrtStatus *status);
    ORT_FALLIBLE(CreateEnv)(OrtLoggingLevel level, const char *name, OrtEnv **env);
    ORT_SKIP(4, 6);
    ORT_FALLIBLE(CreateSession)
    (const OrtEnv *env, const ORTCHAR_T *path, const OrtSessionOptions *options,
     OrtSession **session);
    ORT_FALLIBLE(CreateSessionFromArray)
    (const OrtEnv *env, const void *model, size_t bytes, const OrtSessionOptions *options,
     OrtSession **session);
    ORT_FALLIBLE(Run)
    (OrtSession *session, const OrtRunOptions *options, const char *const *input_names,
     const OrtValue *const *inputs, size_t input_count, const char *const *output_names,
     size_t output_count, OrtValue **outputs);
    ORT_FALLIBLE(CreateSessionOptions)(OrtSessionOptions **options);
    ORT_SKIP(11, 23);
    ORT_FALLIBLE(SetIntraOpNumThreads)(OrtSessionOptions *options, int threads);
    ORT_SKIP(25, 29);
    ORT_FALLIBLE(SessionGetInputCount)(const OrtSession *session, size_t *count);
    ORT_SKIP(31, 32);
    ORT_FALLIBLE(SessionGetInputTypeInfo)
    (const OrtSession *session, size_t index, OrtTypeInfo **type);
    ORT_SKIP(34, 48);
    ORT_FALLIBLE(CreateTensorWithDataAsOrtValue)
    (const OrtMemoryInfo *memory, void *data, size_t bytes, const int64_t *shape, size_t rank,
     ONNXTensorElementDataType type, OrtValue **value);
    ORT_SKIP(50, 50);
    ORT_FALLIBLE(GetTensorMutableData)(OrtValue *value, void **data);
    ORT_SKIP(52, 54);
    ORT_FALLIBLE(CastTypeInfoToTensorInfo)
    (const OrtTypeInfo *type, const OrtTensorTypeAndShapeInfo **tensor); /* part of the type */
    ORT_SKIP(56, 59);
    ORT_FALLIBLE(GetTensorElementType)
    (const OrtTensorTypeAndShapeInfo *tensor, ONNXTensorElementDataType *type);
    ORT_FALLIBLE(GetDimensionsCount)(const OrtTensorTypeAndShapeInfo *tensor, size_t *rank);
    ORT_FALLIBLE(GetDimensions)
    (const OrtTensorTypeAndShapeInfo *tensor, int64_t *shape, size_t rank);
    ORT_SKIP(63, 64);
    ORT_FALLIBLE(GetTensorTypeAndShape)
    (const OrtValue *value, OrtTensorTypeAndShapeInfo **tensor);
    ORT_SKIP(66, 68);
    ORT_FALLIBLE(CreateCpuMemoryInfo)
    (OrtAllocatorType allocator, OrtMemType type, OrtMemoryInfo **memory);
    ORT_SKIP(70, 91);
    ORT_RELEASE(Env);
    ORT_RELEASE(Status);
    ORT_RELEASE(MemoryInfo);
    ORT_RELEASE(Session);
    ORT_RELEASE(Value);
    ORT_SKIP(97, 97);
    ORT_RELEASE(TypeInfo);
    ORT_RELEASE(TensorTypeAndShapeInfo);
    ORT_RELEASE(SessionOptions);
} OrtApi;

typedef struct {
    const OrtApi *(ORT_API_CALL *GetApi)(uint32_t version); /* NULL: the library is older */
    const char *(ORT_API_CALL *GetVersionString)(void);
} OrtApiBase;

#endif /* no official header */

#ifdef __cplusplus
#define ORT_ASSERT(condition, text) static_assert(condition, text)
#else
#define ORT_ASSERT(condition, text) _Static_assert(condition, text)
#endif
#define ORT_ASSERT_SLOT(place, name) \
    ORT_ASSERT(offsetof(OrtApi, name) == (place) * sizeof(void (*)(void)), #name " has moved");
ORT_SLOTS(ORT_ASSERT_SLOT)

/* The function called ``symbol`` in the library at ``path``; NULL if either is missing. */
static inline void *ort_symbol(const char *path, const char *symbol) {
#ifdef _WIN32
    HMODULE library = LoadLibraryA(path);
    FARPROC found = library ? GetProcAddress(library, symbol) : NULL;
    void *address = NULL;
    memcpy(&address, &found, sizeof address);
    return address;
#else
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, symbol) : NULL;
#endif
}

/* onnxruntime, opened: the library that the environment variable ORT_LIBRARY names, else the one
   that the system finds. On failure NULL, with a sentence in ``why``, which holds 512 bytes.

   onnxruntime 1.29 and later sends telemetry on Linux and macOS. It is switched off before the
   library is opened, unless the user has set the variable. */
static inline const OrtApi *ort_open(char why[512]) {
#if defined _WIN32
    const char *path = "onnxruntime.dll";
#elif defined __APPLE__
    const char *path = "libonnxruntime.dylib";
#else
    const char *path = "libonnxruntime.so.1";
#endif
#ifndef _WIN32
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
#endif
    const char *named = getenv("ORT_LIBRARY");
    if (named && *named) path = named;
    void *address = ort_symbol(path, "OrtGetApiBase");
    if (!address) {
        snprintf(why, 512, "no onnxruntime at %s: set ORT_LIBRARY to its shared library", path);
        return NULL;
    }
    const OrtApiBase *(ORT_API_CALL * base)(void); /* ISO C has no cast from void * to this */
    memcpy(&base, &address, sizeof base);
    const OrtApi *api = base()->GetApi(ORT_LEAST);
    if (!api)
        snprintf(why, 512, "onnxruntime %s at %s is too old: 1.%d or newer is needed",
                 base()->GetVersionString(), path, ORT_LEAST);
    return api;
}

#ifdef __cplusplus
}
#endif

#endif
