/*
 * A card that is not there. One shared object stands in for libcuda, libcudart, libcublas, libcublasLt and libcurand, so that
 * onnxruntime's real CUDA provider loads, partitions a graph, builds its kernels, copies initializers and runs. Memory is
 * accounted for as on a card; kernels do nothing, so outputs are zeros or stale bytes. No CUDA header is needed: offsets and
 * sizes below are those of CUDA 13's driver_types.h and cublasLt.h.
 *
 *   CUDA_STUB_LOG         file that gets one JSON object a line: copies, allocations that fail, totals at the end
 *   CUDA_STUB_MEMORY      the card's memory in bytes (default 80 GiB); what goes beyond it fails as on a card
 *   CUDA_STUB_CAPABILITY  compute capability, major * 10 + minor (default 90)
 *   CUDA_STUB_COPY_MAX    larger copies and fills are counted but not made (default 1 MiB): with lazily reserved pages, a
 *                         16 GB weight file costs no memory
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2 };

static size_t setting(const char *name, size_t otherwise) {
  const char *value = getenv(name);
  return value && *value ? strtoull(value, 0, 10) : otherwise;
}
static size_t memory(void) { return setting("CUDA_STUB_MEMORY", (size_t)80 << 30); }
static int capability(void) { return (int)setting("CUDA_STUB_CAPABILITY", 90); }
static size_t copy_max(void) {
  static size_t bytes;
  return bytes ? bytes : (bytes = setting("CUDA_STUB_COPY_MAX", (size_t)1 << 20));
}

static void say(const char *format, ...) {
  const char *path = getenv("CUDA_STUB_LOG");
  FILE *out = path && *path ? fopen(path, "a") : 0;
  if (!out) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(out, format, arguments);
  va_end(arguments);
  fclose(out);
}

/* ---- memory: blocks of fresh zero pages, reserved lazily, so that a 40 GiB block costs nothing until it is written ---- */

typedef struct block {
  char *at;
  size_t bytes, mapped;
  int host;
  struct block *next;
} block;

static block *blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t device_now, device_peak, host_now, host_peak;
static long allocations, launches, gemms, registered;

static int take(void **out, size_t bytes, int host) {
  *out = 0;
  if (!bytes) return OK;
  size_t mapped = (bytes + 4095) & ~(size_t)4095;
  pthread_mutex_lock(&lock);
  if (!host && device_now + bytes > memory()) {
    say("{\"refused\":%zu,\"inUse\":%zu}\n", bytes, device_now);
    pthread_mutex_unlock(&lock);
    return OUT_OF_MEMORY;
  }
  char *at = mmap(0, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    pthread_mutex_unlock(&lock);
    return OUT_OF_MEMORY;
  }
  block *b = malloc(sizeof *b);
  *b = (block){at, bytes, mapped, host, blocks};
  blocks = b;
  size_t *now = host ? &host_now : &device_now, *peak = host ? &host_peak : &device_peak;
  if ((*now += bytes) > *peak) *peak = *now;
  if (!host) allocations++;
  pthread_mutex_unlock(&lock);
  *out = at;
  return OK;
}

static int give(void *at) {
  if (!at) return OK;
  pthread_mutex_lock(&lock);
  for (block **link = &blocks; *link; link = &(*link)->next)
    if ((*link)->at == at) {
      block *b = *link;
      *link = b->next;
      *(b->host ? &host_now : &device_now) -= b->bytes;
      pthread_mutex_unlock(&lock);
      munmap(b->at, b->mapped);
      free(b);
      return OK;
    }
  pthread_mutex_unlock(&lock);
  return INVALID_VALUE;
}

static int on_device(const void *at) {
  int found = 0;
  pthread_mutex_lock(&lock);
  for (block *b = blocks; b && !found; b = b->next)
    found = !b->host && (char *)at >= b->at && (char *)at < b->at + b->mapped;
  pthread_mutex_unlock(&lock);
  return found;
}

static int copy(void *to, const void *from, size_t bytes) {
  if (!bytes) return OK;
  int source = on_device(from), target = on_device(to);
  if (source != target) say("{\"copy\":\"%s\",\"bytes\":%zu}\n", target ? "toDevice" : "toHost", bytes);
  if (bytes <= copy_max()) memmove(to, from, bytes);
  return OK;
}

__attribute__((destructor)) static void at_exit(void) {
  if (!registered) return;
  say("{\"totals\":{\"devicePeak\":%zu,\"hostPeak\":%zu,\"allocations\":%ld,\"launches\":%ld,\"gemms\":%ld}}\n", device_peak,
      host_peak, allocations, launches, gemms);
}

/* ---- libcudart ---- */

int cudaGetDeviceCount(int *n) { *n = 1; return OK; }
int cudaGetDevice(int *device) { *device = 0; return OK; }
int cudaDriverGetVersion(int *version) { *version = 13000; return OK; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return OK; }

/* struct cudaDeviceProp, 1008 bytes. */
int cudaGetDeviceProperties(char *p, int device) {
  if (device) return INVALID_VALUE;
  memset(p, 0, 1008);
#define AT(offset, type, value) (*(type *)(p + (offset)) = (value))
  strcpy(p, "Stub");
  AT(288, size_t, memory());      /* totalGlobalMem */
  AT(296, size_t, 49152);         /* sharedMemPerBlock */
  AT(304, int, 65536);            /* regsPerBlock */
  AT(308, int, 32);               /* warpSize */
  AT(312, size_t, 0x7fffffff);    /* memPitch */
  AT(320, int, 1024);             /* maxThreadsPerBlock */
  AT(324, int, 1024); AT(328, int, 1024); AT(332, int, 64);             /* maxThreadsDim */
  AT(336, int, 0x7fffffff); AT(340, int, 65535); AT(344, int, 65535);   /* maxGridSize */
  AT(352, size_t, 65536);         /* totalConstMem */
  AT(360, int, capability() / 10); AT(364, int, capability() % 10);
  AT(368, size_t, 512);           /* textureAlignment */
  AT(384, int, 132);              /* multiProcessorCount */
  AT(392, int, 1); AT(560, int, 1); AT(584, int, 3); AT(588, int, 1); AT(592, int, 5120);
  AT(596, int, 50 << 20);         /* l2CacheSize */
  AT(600, int, 32 << 20);
  AT(604, int, 2048);             /* maxThreadsPerMultiProcessor */
  AT(624, size_t, 233472);        /* sharedMemPerMultiprocessor */
  AT(632, int, 65536); AT(636, int, 1);
  AT(672, size_t, 232448);        /* sharedMemPerBlockOptin */
  AT(688, int, 32); AT(696, size_t, 1024); AT(720, int, 1);
  return OK;
}

int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  switch (attribute) {
    case 1: *value = 1024; break;              /* MaxThreadsPerBlock */
    case 8: *value = 49152; break;             /* MaxSharedMemoryPerBlock */
    case 10: *value = 32; break;               /* WarpSize */
    case 12: *value = 65536; break;            /* MaxRegistersPerBlock */
    case 16: *value = 132; break;              /* MultiProcessorCount */
    case 38: *value = 50 << 20; break;         /* L2CacheSize */
    case 39: *value = 2048; break;             /* MaxThreadsPerMultiProcessor */
    case 75: *value = capability() / 10; break;
    case 76: *value = capability() % 10; break;
    case 81: *value = 233472; break;           /* MaxSharedMemoryPerMultiprocessor */
    case 97: *value = 232448; break;           /* MaxSharedMemoryPerBlockOptin */
    case 106: *value = 32; break;              /* MaxBlocksPerMultiprocessor */
    case 115: *value = 1; break;               /* MemoryPoolsSupported */
    default: *value = 0;
  }
  return OK;
}

int cudaMemGetInfo(size_t *available, size_t *total) { *total = memory(); *available = *total - device_now; return OK; }
int cudaMalloc(void **p, size_t n) { return take(p, n, 0); }
int cudaMallocFromPoolAsync(void **p, size_t n, void *pool, void *stream) { return take(p, n, 0); }
int cudaMallocHost(void **p, size_t n) { return take(p, n, 1); }
int cudaHostAlloc(void **p, size_t n, unsigned flags) { return take(p, n, 1); }
int cudaFree(void *p) { return give(p); }
int cudaFreeAsync(void *p, void *stream) { return give(p); }
int cudaFreeHost(void *p) { return give(p); }
int cudaMemcpy(void *to, const void *from, size_t n, int kind) { return copy(to, from, n); }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *stream) { return copy(to, from, n); }
int cudaMemcpy2DAsync(char *to, size_t to_pitch, const char *from, size_t from_pitch, size_t width, size_t height, int kind,
                      void *stream) {
  for (size_t row = 0; row < height; row++) copy(to + row * to_pitch, from + row * from_pitch, width);
  return OK;
}
int cudaMemcpyFromSymbol(void *to, const void *symbol, size_t n, size_t offset, int kind) { memset(to, 0, n); return OK; }
int cudaMemset(void *p, int value, size_t n) { if (n <= copy_max()) memset(p, value, n); return OK; }
int cudaMemsetAsync(void *p, int value, size_t n, void *stream) { return cudaMemset(p, value, n); }
/* struct cudaPointerAttributes: type, device, devicePointer, hostPointer. */
int cudaPointerGetAttributes(char *attributes, const void *p) {
  memset(attributes, 0, 88);
  *(int *)attributes = on_device(p) ? 2 : 0;
  *(const void **)(attributes + 8) = p;
  *(const void **)(attributes + 16) = p;
  return OK;
}
const char *cudaGetErrorString(int error) { return error == OK ? "no error" : error == OUT_OF_MEMORY ? "out of memory" : "stub error"; }
const char *cudaGetErrorName(int error) {
  return error == OK ? "cudaSuccess" : error == OUT_OF_MEMORY ? "cudaErrorMemoryAllocation" : "cudaErrorStub";
}

static long handles = 0x1000;
static int handle(void **h) { *h = (void *)__sync_add_and_fetch(&handles, 16); return OK; }
int cudaStreamCreate(void **stream) { return handle(stream); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return handle(stream); }
int cudaEventCreate(void **event) { return handle(event); }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return handle(event); }
int cudaEventElapsedTime(float *ms, void *from, void *to) { *ms = 1; return OK; }
int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return OK; }
int cudaStreamEndCapture(void *stream, void **graph) { return handle(graph); }
int cudaGraphInstantiate(void **executable, void *graph, unsigned long long flags) { return handle(executable); }
int cudaMemPoolCreate(void **pool, const void *properties) { return handle(pool); }
int cudaMemPoolGetAttribute(void *pool, int attribute, void *value) { *(uint64_t *)value = 0; return OK; }
/* struct cudaFuncAttributes: maxThreadsPerBlock, ptxVersion and binaryVersion. */
int cudaFuncGetAttributes(char *attributes, const void *function) {
  memset(attributes, 0, 144);
  *(int *)(attributes + 24) = 1024;
  *(int *)(attributes + 32) = *(int *)(attributes + 36) = capability();
  return OK;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *function, int block_size, size_t shared,
                                                           unsigned flags) {
  *n = 2;
  return OK;
}
int cudaLaunchHostFunc(void *stream, void (*function)(void *), void *argument) { function(argument); return OK; }
int cudaLibraryLoadData(void **library, const void *code, void *a, void *b, unsigned n, void *c, void *d, unsigned m) {
  return handle(library);
}
int cudaLibraryGetKernel(void **kernel, void *library, const char *name) { return handle(kernel); }
/* cudaDriverEntryPointSymbolNotFound */
int cudaGetDriverEntryPointByVersion(const char *symbol, void **function, unsigned version, unsigned long long flags, int *status) {
  *function = 0;
  if (status) *status = 1;
  return OK;
}

static int launch(void) { launches++; return OK; }
int cudaLaunchKernel(const void *function, ...) { return launch(); }
int cudaLaunchKernelExC(const void *configuration, const void *function, void **arguments) { return launch(); }
int cudaLaunchCooperativeKernel(const void *function, ...) { return launch(); }

/* What the host code that nvcc writes calls. */
void **__cudaRegisterFatBinary(void *binary) { static void *h; registered++; return &h; }
void __cudaRegisterFatBinaryEnd(void **h) {}
void __cudaUnregisterFatBinary(void **h) {}
void __cudaRegisterFunction(void **h, const char *host, char *device, const char *name, int limit, void *a, void *b, void *c,
                            void *d, int *e) {}
void __cudaRegisterVar(void **h, char *host, char *device, const char *name, int e, size_t bytes, int c, int g) {}
int __cudaGetKernel(void **kernel, const void *function) { *kernel = (void *)function; return OK; }
int __cudaLaunchKernel(void *kernel, ...) { return launch(); }
/* dim3 by value: 12 bytes in two registers. */
unsigned __cudaPushCallConfiguration(uint64_t a, uint32_t b, uint64_t c, uint32_t d, size_t shared, void *stream) { return 0; }
int __cudaPopCallConfiguration(void *grid, void *block_size, size_t *shared, void **stream) {
  uint32_t one[3] = {1, 1, 1};
  memcpy(grid, one, 12);
  memcpy(block_size, one, 12);
  *shared = 0;
  *stream = 0;
  return OK;
}

/* ---- libcublas, libcublasLt ---- */

int cublasCreate_v2(void **h) { return handle(h); }
int cublasGetMathMode(void *h, int *mode) { *mode = 0; return OK; }
const char *cublasGetStatusName(int status) { return "CUBLAS_STATUS"; }
const char *cublasGetStatusString(int status) { return "stub"; }
int cublasLtCreate(void **h) { return handle(h); }
int cublasLtMatmulDescCreate(void **h, int a, int b) { return handle(h); }
int cublasLtMatmulPreferenceCreate(void **h) { return handle(h); }
int cublasLtMatrixLayoutCreate(void **h, int type, uint64_t rows, uint64_t columns, int64_t stride) { return handle(h); }
int cublasLtMatrixTransformDescCreate(void **h, int type) { return handle(h); }
/* struct cublasLtMatmulHeuristicResult_t, 96 bytes: an algorithm without a workspace. */
int cublasLtMatmulAlgoGetHeuristic(void *h, void *operation, void *a, void *b, void *c, void *d, void *preference, int wanted,
                                   void *results, int *found) {
  memset(results, 0, 96);
  *found = 1;
  return OK;
}
#define GEMM(name) int name() { gemms++; return OK; }
GEMM(cublasLtMatmul) GEMM(cublasGemmEx) GEMM(cublasGemmBatchedEx) GEMM(cublasGemmStridedBatchedEx)
GEMM(cublasSgemm_v2) GEMM(cublasDgemm_v2) GEMM(cublasSgemmBatched) GEMM(cublasDgemmBatched)
GEMM(cublasSgemmStridedBatched) GEMM(cublasDgemmStridedBatched)

/* ---- success without effect ---- */

#define NOTHING(name) int name() { return OK; }
NOTHING(cuTensorMapEncodeTiled) NOTHING(cublasDcopy_v2) NOTHING(cublasDestroy_v2) NOTHING(cublasDgeam)
NOTHING(cublasDgetrfBatched) NOTHING(cublasDgetriBatched) NOTHING(cublasLtDestroy) NOTHING(cublasLtMatmulAlgoConfigSetAttribute)
NOTHING(cublasLtMatmulAlgoInit) NOTHING(cublasLtMatmulDescDestroy) NOTHING(cublasLtMatmulDescSetAttribute)
NOTHING(cublasLtMatmulPreferenceDestroy) NOTHING(cublasLtMatmulPreferenceSetAttribute) NOTHING(cublasLtMatrixLayoutDestroy)
NOTHING(cublasLtMatrixLayoutSetAttribute) NOTHING(cublasLtMatrixTransform) NOTHING(cublasLtMatrixTransformDescDestroy)
NOTHING(cublasScopy_v2) NOTHING(cublasSetMathMode) NOTHING(cublasSetStream_v2) NOTHING(cublasSgeam)
NOTHING(cublasSgetrfBatched) NOTHING(cublasSgetriBatched) NOTHING(cublasSscal_v2) NOTHING(cudaDeviceSynchronize)
NOTHING(cudaEventDestroy) NOTHING(cudaEventRecord) NOTHING(cudaEventSynchronize) NOTHING(cudaFuncSetAttribute)
NOTHING(cudaGetLastError) NOTHING(cudaGraphDestroy) NOTHING(cudaGraphExecDestroy) NOTHING(cudaGraphLaunch)
NOTHING(cudaKernelSetAttributeForDevice) NOTHING(cudaLibraryUnload) NOTHING(cudaMemPoolDestroy)
NOTHING(cudaMemPoolSetAttribute) NOTHING(cudaMemPoolTrimTo) NOTHING(cudaPeekAtLastError) NOTHING(cudaSetDevice)
NOTHING(cudaStreamBeginCapture) NOTHING(cudaStreamDestroy) NOTHING(cudaStreamSynchronize) NOTHING(cudaStreamWaitEvent)
