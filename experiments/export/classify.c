/* Classifies one image with the SavedModel beside this file, through TensorFlow's C library: no Python runs.
 *
 * The library and its headers are in the wheel of TensorFlow (TF is its folder):
 *
 *   cc classify.c -o classify -I$TF/include -L$TF -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
 *      -Wl,-rpath,$TF
 *   ./classify model example.raw
 *
 * The image is a file of float32 numbers, as the network takes them. tensors.txt says how the tensors are called: the
 * operation and index of the input, its number of sides and the sides, the same of the output, then a class a line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

#define MOST_SIDES 8
#define MOST_NAME 256

typedef struct {
    char operation[MOST_NAME];
    int index;
    int rank;
    int64_t sides[MOST_SIDES];
} Tensor;

static void stop(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(2);
}

static void check(TF_Status *status, const char *what) {
    if (TF_GetCode(status) != TF_OK) stop(what, TF_Message(status));
}

static void keep(void *data, size_t length, void *arg) { (void)data, (void)length, (void)arg; }

static Tensor read_tensor(FILE *file) {
    Tensor tensor;
    if (fscanf(file, "%255s %d %d", tensor.operation, &tensor.index, &tensor.rank) != 3 || tensor.rank < 1 ||
        tensor.rank > MOST_SIDES)
        stop("tensors.txt", "is damaged");
    for (int i = 0; i < tensor.rank; i++)
        if (fscanf(file, "%lld", (long long *)&tensor.sides[i]) != 1) stop("tensors.txt", "is damaged");
    return tensor;
}

static TF_Output find(TF_Graph *graph, const Tensor *tensor) {
    TF_Output output = {TF_GraphOperationByName(graph, tensor->operation), tensor->index};
    if (output.oper == NULL) stop(tensor->operation, "is no operation of the model");
    return output;
}

int main(int argc, char **argv) {
    if (argc != 3) stop("usage", "classify MODEL_FOLDER IMAGE.raw");
    FILE *file = fopen("tensors.txt", "r");
    if (file == NULL) stop("tensors.txt", "cannot be read");
    Tensor input = read_tensor(file), output = read_tensor(file);

    /* --- the image */
    int64_t count = 1;
    for (int i = 0; i < input.rank; i++) count *= input.sides[i];
    float *pixels = malloc(count * sizeof(float));
    FILE *raw = fopen(argv[2], "rb");
    if (raw == NULL) stop(argv[2], "cannot be read");
    if (pixels == NULL || fread(pixels, sizeof(float), count, raw) != (size_t)count || fgetc(raw) != EOF)
        stop(argv[2], "does not hold as many float32 numbers as the network takes");
    fclose(raw);

    /* --- the model */
    TF_Status *status = TF_NewStatus();
    TF_Graph *graph = TF_NewGraph();
    TF_SessionOptions *options = TF_NewSessionOptions();
    const char *tags[] = {"serve"};
    TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
    check(status, argv[1]);

    /* --- the classes */
    TF_Output from = find(graph, &input), to = find(graph, &output);
    TF_Tensor *given =
        TF_NewTensor(TF_FLOAT, input.sides, input.rank, pixels, count * sizeof(float), keep, NULL), *made = NULL;
    TF_SessionRun(session, NULL, &from, &given, 1, &to, &made, 1, NULL, 0, NULL, status);
    check(status, "the network");
    const float *probabilities = TF_TensorData(made);
    int64_t classes = TF_Dim(made, TF_NumDims(made) - 1), best = 0;
    for (int64_t i = 1; i < classes; i++)
        if (probabilities[i] > probabilities[best]) best = i;
    char name[MOST_NAME] = "";
    fgets(name, sizeof name, file); /* the rest of the line */
    for (int64_t i = 0; i <= best; i++)
        if (fgets(name, sizeof name, file) == NULL) snprintf(name, sizeof name, "%lld", (long long)best);
    name[strcspn(name, "\n")] = 0;
    printf("%s %.1f %%\n", name, 100 * probabilities[best]);

    fclose(file);
    TF_DeleteTensor(made);
    TF_DeleteTensor(given);
    free(pixels);
    TF_CloseSession(session, status);
    TF_DeleteSession(session, status);
    TF_DeleteSessionOptions(options);
    TF_DeleteGraph(graph);
    TF_DeleteStatus(status);
    return 0;
}
