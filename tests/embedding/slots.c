/* Calls every function of ORT_SLOTS and prints its name once its effect has been seen.

       slots SAMPLER.onnx [KEPT]

   The sampler is a conditional one, of 3 columns and 2 of context, in float32. With KEPT, handles
   of that type are not released, so that a leak checker can show that releasing them does it. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ort.h"

static const OrtApi *ort;
static const char *kept = "";

static void seen(int effect, const char *name) {
    if (!effect) {
        fprintf(stderr, "%s did not do what it should\n", name);
        exit(1);
    }
    printf("%s\n", name);
}

#define SEEN(effect, name) ((void)sizeof(ort->name), seen(effect, #name))
#define RELEASE(Type, handle)                                     \
    do {                                                          \
        if (strcmp(kept, #Type) != 0) ort->Release##Type(handle); \
        printf("Release" #Type "\n");                             \
        handle = NULL;                                            \
    } while (0)

static int threads(void) {
    int found = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (tasks && readdir(tasks)) found++;
    closedir(tasks);
    return found;
}

int main(int argc, char **argv) {
    static char graph[1 << 24];
    char why[512];
    if (argc > 2) kept = argv[2];
    if (!(ort = ort_open(why))) return fprintf(stderr, "%s\n", why), 1;
    FILE *file = fopen(argv[1], "rb");
    size_t bytes = fread(graph, 1, sizeof graph, file);
    fclose(file);

    OrtEnv *env = NULL;
    SEEN(!ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "slots", &env) && env, CreateEnv);
    OrtSessionOptions *options = NULL;
    SEEN(!ort->CreateSessionOptions(&options) && options, CreateSessionOptions);

    /* A model that is none gives an error, in words. */
    OrtSession *session = NULL;
    OrtStatus *status = ort->CreateSessionFromArray(env, "no model", 8, options, &session);
    SEEN(status && strstr(ort->GetErrorMessage(status), "protobuf"), GetErrorMessage);
    RELEASE(Status, status);

    /* One that is a file, and not there. */
    status = ort->CreateSession(env, ORT_TSTR("none.onnx"), options, &session);
    SEEN(status && strstr(ort->GetErrorMessage(status), "none.onnx"), CreateSession);
    RELEASE(Status, status);

    /* A pool of 3 threads is the caller and 2 more. */
    int before = threads();
    int set = !ort->SetIntraOpNumThreads(options, 3);
    SEEN(!ort->CreateSessionFromArray(env, graph, bytes, options, &session) && session,
         CreateSessionFromArray);
    SEEN(set && threads() == before + 2, SetIntraOpNumThreads);
    RELEASE(SessionOptions, options);

    size_t count = 0;
    SEEN(!ort->SessionGetInputCount(session, &count) && count == 5, SessionGetInputCount);
    OrtTypeInfo *type = NULL;
    const OrtTensorTypeAndShapeInfo *described = NULL;
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
    size_t rank = 9;
    int64_t shape[2] = {9, 9};
    SEEN(!ort->SessionGetInputTypeInfo(session, 0, &type) && type, SessionGetInputTypeInfo);
    SEEN(!ort->CastTypeInfoToTensorInfo(type, &described) && described, CastTypeInfoToTensorInfo);
    SEEN(!ort->GetTensorElementType(described, &element) &&
             element == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
         GetTensorElementType);
    SEEN(!ort->GetDimensionsCount(described, &rank) && rank == 0, GetDimensionsCount);
    RELEASE(TypeInfo, type);
    seen(!ort->SessionGetInputTypeInfo(session, 4, &type), "SessionGetInputTypeInfo");
    seen(!ort->CastTypeInfoToTensorInfo(type, &described), "CastTypeInfoToTensorInfo");
    seen(!ort->GetDimensionsCount(described, &rank) && rank == 2, "GetDimensionsCount");
    SEEN(!ort->GetDimensions(described, shape, 2) && shape[0] == -1 && shape[1] == 2,
         GetDimensions);
    RELEASE(TypeInfo, type);

    OrtMemoryInfo *cpu = NULL;
    SEEN(!ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &cpu) && cpu,
         CreateCpuMemoryInfo);
    int64_t numbers[] = {7, 0, 4}; /* seed, start, count */
    float temperature = 1, context[4][2] = {{0}};
    const int64_t rows[] = {4, 2};
    OrtValue *in[5] = {NULL}, *out[2] = {NULL};
    for (int i = 0; i < 3; i++)
        seen(!ort->CreateTensorWithDataAsOrtValue(cpu, &numbers[i], sizeof numbers[i], NULL, 0,
                                                  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &in[i]),
             "CreateTensorWithDataAsOrtValue");
    seen(!ort->CreateTensorWithDataAsOrtValue(cpu, &temperature, sizeof temperature, NULL, 0,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in[3]),
         "CreateTensorWithDataAsOrtValue");
    SEEN(!ort->CreateTensorWithDataAsOrtValue(cpu, context, sizeof context, rows, 2,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in[4]),
         CreateTensorWithDataAsOrtValue);
    void *data = NULL;
    SEEN(!ort->GetTensorMutableData(in[4], &data) && data == (void *)context, GetTensorMutableData);
    RELEASE(MemoryInfo, cpu);

    const char *const inputs[] = {"seed", "start", "count", "temperature", "context"};
    const char *const outputs[] = {"x", "log_prob"};
    SEEN(!ort->Run(session, NULL, inputs, (const OrtValue *const *)in, 5, outputs, 2, out) &&
             out[0] && out[1],
         Run);
    OrtTensorTypeAndShapeInfo *result = NULL;
    SEEN(!ort->GetTensorTypeAndShape(out[0], &result) && result, GetTensorTypeAndShape);
    seen(!ort->GetTensorElementType(result, &element) &&
             element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
         "GetTensorElementType");
    seen(!ort->GetDimensions(result, shape, 2) && shape[0] == 4 && shape[1] == 3, "GetDimensions");
    RELEASE(TensorTypeAndShapeInfo, result);

    for (int i = 0; i < 5; i++) RELEASE(Value, in[i]);
    for (int i = 0; i < 2; i++) RELEASE(Value, out[i]);
    RELEASE(Session, session);
    seen(threads() == before, "ReleaseSession"); /* its pool is gone */
    RELEASE(Env, env);
    return 0;
}
