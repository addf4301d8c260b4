/* vkstats: a Vulkan layer that tells what the driver makes of compute shaders.
 * Everything it adds is optional: each failure is printed and skipped. See README. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vulkan/vulkan_core.h>
#include <vulkan/vk_layer.h>

#define EXPORT __attribute__((visibility("default")))
#define LAYER_NAME "VK_LAYER_PROJECT_vkstats"

/* ---- newer than the 1.3.239 headers; the registry's values ---- */
enum {
  X_ST_VULKAN_1_4_FEATURES = 55,
  X_ST_MAINTENANCE_5_FEATURES = 1000470000,
  X_ST_PIPELINE_CREATE_FLAGS_2 = 1000470005,
  X_ST_PB_FEATURES = 1000483000,
  X_ST_PB_CREATE_INFO = 1000483001,
  X_ST_PB_KEY = 1000483003,
  X_ST_PB_PROPERTIES = 1000483004,
  X_ST_PB_DATA_INFO = 1000483006,
  X_ST_PB_HANDLES_INFO = 1000483009,
};
#define X_CAPTURE_DATA 0x80000000ULL
typedef struct { VkStructureType sType; void *pNext; VkBool32 v; } XBool1; /* any features struct of one bool */
typedef struct { VkStructureType sType; const void *pNext; uint64_t flags; } XFlags2;
typedef struct { VkStructureType sType; void *pNext; VkBool32 internalCache, internalCacheControl, prefersInternalCache, precompiledInternalCache, compressedData; } XPBProps;
typedef struct { VkStructureType sType; void *pNext; uint32_t keySize; uint8_t key[32]; } XPBKey;
typedef struct { VkStructureType sType; const void *pNext; const void *keysAndData; VkPipeline pipeline; const void *createInfo; } XPBCreate;
typedef struct { VkStructureType sType; void *pNext; uint64_t binary; } XPBDataInfo;
typedef struct { VkStructureType sType; const void *pNext; uint32_t count; uint64_t *bins; } XPBHandles;
typedef struct { VkStructureType sType; void *pNext; VkBool32 b[21]; } XVulkan14; /* maintenance5 is b[15] */
typedef VkResult (VKAPI_PTR *PFN_xCreatePB)(VkDevice, const XPBCreate *, const VkAllocationCallbacks *, XPBHandles *);
typedef VkResult (VKAPI_PTR *PFN_xGetPBData)(VkDevice, const XPBDataInfo *, XPBKey *, size_t *, void *);
typedef void (VKAPI_PTR *PFN_xDestroyPB)(VkDevice, uint64_t, const VkAllocationCallbacks *);

/* ---- state ---- */
typedef struct Inst {
  struct Inst *next; void *key; VkInstance h; PFN_vkGetInstanceProcAddr gipa;
  /* fetched while the instance is made: later the loader's GetInstanceProcAddr gives the chain's top, not what is below */
  PFN_vkDestroyInstance destroy; PFN_vkCreateDevice createDevice; PFN_vkEnumerateDeviceExtensionProperties en;
  PFN_vkGetPhysicalDeviceFeatures2 gf; PFN_vkGetPhysicalDeviceProperties2 gp;
} Inst;
typedef struct Dev {
  struct Dev *next; void *key; VkDevice h; PFN_vkGetDeviceProcAddr gdpa;
  int exec, bin;
  PFN_vkCreateShaderModule createModule; PFN_vkDestroyShaderModule destroyModule;
  PFN_vkCreateComputePipelines createCompute; PFN_vkDestroyPipeline destroyPipeline; PFN_vkDestroyDevice destroyDevice;
  PFN_vkCreatePipelineCache createCache; PFN_vkDestroyPipelineCache destroyCache; PFN_vkGetPipelineCacheData cacheData;
  PFN_vkGetPipelineExecutablePropertiesKHR exProps; PFN_vkGetPipelineExecutableStatisticsKHR exStats;
  PFN_vkGetPipelineExecutableInternalRepresentationsKHR exIR;
  PFN_xCreatePB pbCreate; PFN_xGetPBData pbData; PFN_xDestroyPB pbDestroy;
} Dev;
typedef struct Mod { struct Mod *next; void *dev; VkShaderModule h; size_t size; void *code; } Mod;
static Inst *insts; static Dev *devs; static Mod *mods;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;   /* the lists */
static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER;  /* pipeline creation, the output, the counter */
static int counter;

static int envOn(const char *n, int dflt) { const char *v = getenv(n); return v && *v ? strcmp(v, "0") != 0 : dflt; }
static void say(const char *f, ...) {
  char b[1024]; va_list a; va_start(a, f); int n = vsnprintf(b, sizeof b - 2, f, a); va_end(a);
  if (n < 0) return;
  if (n > (int)sizeof b - 2) n = sizeof b - 2;
  b[n] = 0;
  fprintf(stderr, "vkstats: %s\n", b);
  const char *o = getenv("VKSTATS_OUT");
  if (o && *o) { FILE *f2 = fopen(o, "ae"); if (f2) { fprintf(f2, "# %s\n", b); fclose(f2); } }
}
static const char *dirName(void) { const char *d = getenv("VKSTATS_DIR"); if (!d || !*d) return NULL; mkdir(d, 0777); return d; }
static void save(int idx, const char *ext, const void *p, size_t n) {
  const char *d = dirName(); if (!d || !p) return;
  char path[4096]; snprintf(path, sizeof path, "%s/%03d.%s", d, idx, ext);
  FILE *f = fopen(path, "we");
  if (!f) { say("cannot write %s: %s", path, strerror(errno)); return; }
  if (fwrite(p, 1, n, f) != n) say("short write to %s", path);
  fclose(f);
}
/* Writes through a pipe, so that read-only memory gives EFAULT rather than a crash. */
static int poke(void *dst, const void *src, size_t n) {
  int fd[2]; if (pipe2(fd, O_CLOEXEC)) return -1;
  int r = write(fd[1], src, n) == (ssize_t)n && read(fd[0], dst, n) == (ssize_t)n ? 0 : -1;
  close(fd[0]); close(fd[1]); return r;
}
static VkBaseOutStructure *find(const void *chain, int st) {
  VkBaseOutStructure *p = (VkBaseOutStructure *)chain;
  for (int i = 0; p && i < 1000; i++, p = p->pNext) if ((int)p->sType == st) return p;
  return NULL;
}
static Inst *instOf(const void *h) {
  if (!h) return NULL;
  void *k = *(void *const *)h; Inst *i;
  pthread_mutex_lock(&mu); for (i = insts; i && i->key != k; i = i->next); pthread_mutex_unlock(&mu); return i;
}
static Dev *devOf(const void *h) {
  if (!h) return NULL;
  void *k = *(void *const *)h; Dev *d;
  pthread_mutex_lock(&mu); for (d = devs; d && d->key != k; d = d->next); pthread_mutex_unlock(&mu); return d;
}
static uint64_t fnv(const void *p, size_t n) {
  const uint8_t *b = p; uint64_t h = 0xcbf29ce484222325ULL;
  for (size_t i = 0; i < n; i++) { h ^= b[i]; h *= 0x100000001b3ULL; }
  return h;
}

/* ---- instance ---- */
static VKAPI_ATTR VkResult VKAPI_CALL lCreateInstance(const VkInstanceCreateInfo *ci, const VkAllocationCallbacks *al, VkInstance *out) {
  VkLayerInstanceCreateInfo *li = NULL;
  for (VkBaseOutStructure *p = (VkBaseOutStructure *)ci->pNext; p; p = p->pNext)
    if (p->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO && ((VkLayerInstanceCreateInfo *)p)->function == VK_LAYER_LINK_INFO) { li = (void *)p; break; }
  if (!li || !li->u.pLayerInfo) { say("vkCreateInstance: no link info"); return VK_ERROR_INITIALIZATION_FAILED; }
  PFN_vkGetInstanceProcAddr gipa = li->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  PFN_vkCreateInstance create = (PFN_vkCreateInstance)gipa(NULL, "vkCreateInstance");
  if (!create) return VK_ERROR_INITIALIZATION_FAILED;
  li->u.pLayerInfo = li->u.pLayerInfo->pNext;
  VkResult r = create(ci, al, out);
  if (r != VK_SUCCESS) return r;
  Inst *i = calloc(1, sizeof *i);
  if (!i) return r; /* instOf then finds nothing: the device functions fall back below */
  i->h = *out; i->key = *(void **)*out; i->gipa = gipa;
  i->destroy = (PFN_vkDestroyInstance)gipa(*out, "vkDestroyInstance");
  i->createDevice = (PFN_vkCreateDevice)gipa(*out, "vkCreateDevice");
  i->en = (PFN_vkEnumerateDeviceExtensionProperties)gipa(*out, "vkEnumerateDeviceExtensionProperties");
  i->gf = (PFN_vkGetPhysicalDeviceFeatures2)gipa(*out, "vkGetPhysicalDeviceFeatures2");
  if (!i->gf) i->gf = (PFN_vkGetPhysicalDeviceFeatures2)gipa(*out, "vkGetPhysicalDeviceFeatures2KHR");
  i->gp = (PFN_vkGetPhysicalDeviceProperties2)gipa(*out, "vkGetPhysicalDeviceProperties2");
  if (!i->gp) i->gp = (PFN_vkGetPhysicalDeviceProperties2)gipa(*out, "vkGetPhysicalDeviceProperties2KHR");
  pthread_mutex_lock(&mu); i->next = insts; insts = i; pthread_mutex_unlock(&mu);
  return r;
}
static VKAPI_ATTR void VKAPI_CALL lDestroyInstance(VkInstance h, const VkAllocationCallbacks *al) {
  if (!h) return;
  Inst *i = instOf(h); if (!i) return;
  PFN_vkDestroyInstance f = i->destroy;
  pthread_mutex_lock(&mu); for (Inst **p = &insts; *p; p = &(*p)->next) if (*p == i) { *p = i->next; break; } pthread_mutex_unlock(&mu);
  free(i);
  if (f) f(h, al);
}

/* ---- device ---- */
static int hasName(const char *const *l, uint32_t n, const char *s) { for (uint32_t i = 0; i < n; i++) if (l[i] && !strcmp(l[i], s)) return 1; return 0; }
static VKAPI_ATTR VkResult VKAPI_CALL lCreateDevice(VkPhysicalDevice pd, const VkDeviceCreateInfo *ci, const VkAllocationCallbacks *al, VkDevice *out) {
  VkLayerDeviceCreateInfo *li = NULL;
  for (VkBaseOutStructure *p = (VkBaseOutStructure *)ci->pNext; p; p = p->pNext)
    if (p->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO && ((VkLayerDeviceCreateInfo *)p)->function == VK_LAYER_LINK_INFO) { li = (void *)p; break; }
  if (!li || !li->u.pLayerInfo) { say("vkCreateDevice: no link info"); return VK_ERROR_INITIALIZATION_FAILED; }
  PFN_vkGetInstanceProcAddr gipa = li->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  PFN_vkGetDeviceProcAddr gdpa = li->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  VkLayerDeviceLink *nextLink = li->u.pLayerInfo->pNext;
  Inst *in = instOf(pd);
  VkInstance ih = in ? in->h : NULL;
  PFN_vkCreateDevice create = in && in->createDevice ? in->createDevice : (PFN_vkCreateDevice)gipa(ih, "vkCreateDevice");
  if (!create) { say("vkCreateDevice: not found below"); return VK_ERROR_INITIALIZATION_FAILED; }

  int exec = 0, bin = 0, m5 = 0; const char *why = "";
  uint32_t n = 0; VkExtensionProperties *ex = NULL;
  if (ih && !envOn("VKSTATS_DISABLE", 0)) {
    PFN_vkEnumerateDeviceExtensionProperties en = in->en; PFN_vkGetPhysicalDeviceFeatures2 gf = in->gf; PFN_vkGetPhysicalDeviceProperties2 gp = in->gp;
    if (en && en(pd, NULL, &n, NULL) == VK_SUCCESS && n && (ex = calloc(n + 16, sizeof *ex))) {
      n += 16; VkResult er = en(pd, NULL, &n, ex); if (er != VK_SUCCESS && er != VK_INCOMPLETE) n = 0;
    } else n = 0;
    for (uint32_t i = 0; i < n; i++) {
      if (!strcmp(ex[i].extensionName, "VK_KHR_pipeline_executable_properties")) exec = 1;
      if (!strcmp(ex[i].extensionName, "VK_KHR_pipeline_binary")) bin = 1;
      if (!strcmp(ex[i].extensionName, "VK_KHR_maintenance5")) m5 = 1;
    }
    int drv = 0;
    for (uint32_t i = 0; i < n; i++) if (!strcmp(ex[i].extensionName, "VK_KHR_driver_properties")) drv = 1;
    if (gp) {
      VkPhysicalDeviceDriverProperties dp = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES };
      XPBProps pb = { .sType = (VkStructureType)X_ST_PB_PROPERTIES };
      VkPhysicalDeviceProperties2 p2 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 };
      if (drv) { dp.pNext = p2.pNext; p2.pNext = &dp; }
      if (bin) { pb.pNext = p2.pNext; p2.pNext = &pb; }
      gp(pd, &p2);
      say("device %s, driver %s %s, api %u.%u.%u; lists: pipeline_executable_properties %s, pipeline_binary %s, maintenance5 %s", p2.properties.deviceName, dp.driverName, dp.driverInfo,
          VK_API_VERSION_MAJOR(p2.properties.apiVersion), VK_API_VERSION_MINOR(p2.properties.apiVersion), VK_API_VERSION_PATCH(p2.properties.apiVersion), exec ? "yes" : "NO", bin ? "yes" : "NO", m5 ? "yes" : "NO");
      if (bin) say("pipeline_binary properties: internalCache %u, internalCacheControl %u, prefersInternalCache %u, precompiledInternalCache %u, compressedData %u", pb.internalCache, pb.internalCacheControl, pb.prefersInternalCache, pb.precompiledInternalCache, pb.compressedData);
    }
    if (!envOn("VKSTATS_STATS", 1)) exec = 0;
    if (!envOn("VKSTATS_BINARY", 0)) { bin = 0; }
    if (exec || bin) {
      if (!gf) { say("no vkGetPhysicalDeviceFeatures2: nothing is added"); exec = bin = 0; }
      else {
        XBool1 fe = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR }, fb = { .sType = (VkStructureType)X_ST_PB_FEATURES }, fm = { .sType = (VkStructureType)X_ST_MAINTENANCE_5_FEATURES };
        VkPhysicalDeviceFeatures2 f2 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2 };
        if (exec) { fe.pNext = f2.pNext; f2.pNext = &fe; }
        if (bin) { fb.pNext = f2.pNext; f2.pNext = &fb; }
        if (bin && m5) { fm.pNext = f2.pNext; f2.pNext = &fm; }
        gf(pd, &f2);
        if (exec && !fe.v) { say("feature pipelineExecutableInfo is not supported"); exec = 0; }
        if (bin && !fb.v) { say("feature pipelineBinaries is not supported"); bin = 0; }
        if (bin && !(m5 && fm.v)) { say("maintenance5 is not supported: no pipeline binaries"); bin = 0; }
      }
    }
  } else why = " (switched off, or instance unknown)";
  free(ex);

  VkDeviceCreateInfo c = *ci; XBool1 fe, fb, fm; const char **names = NULL; VkResult r = VK_ERROR_UNKNOWN; int tried = 0;
  XBool1 *pokedE = NULL, *pokedB = NULL, *pokedM = NULL; VkBool32 *p14 = NULL; VkBool32 one = VK_TRUE, old;
  (void)old; VkBool32 oE = 0, oB = 0, oM = 0, o14 = 0;
  if (exec || bin) {
    names = calloc(ci->enabledExtensionCount + 4, sizeof *names);
    if (!names) exec = bin = 0;
  }
#define ENABLE(flag, st, var, pk, o, label) do { if (flag) { XBool1 *have = (XBool1 *)find(ci->pNext, st); \
    if (!have) { memset(&var, 0, sizeof var); var.sType = (VkStructureType)(st); var.v = VK_TRUE; var.pNext = (void *)c.pNext; c.pNext = &var; } \
    else if (!have->v) { o = have->v; if (poke(&have->v, &one, sizeof one)) { say("cannot set the application's " label); flag = 0; } else pk = have; } } } while (0)
  if (exec || bin) {
    tried = 1;
    ENABLE(exec, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, fe, pokedE, oE, "PipelineExecutablePropertiesFeatures");
    if (bin) {
      XVulkan14 *v14 = (XVulkan14 *)find(ci->pNext, X_ST_VULKAN_1_4_FEATURES);
      if (v14) { if (!v14->b[15]) { o14 = v14->b[15]; if (poke(&v14->b[15], &one, sizeof one)) { say("cannot set Vulkan14Features.maintenance5"); bin = 0; } else p14 = &v14->b[15]; } }
      else ENABLE(bin, X_ST_MAINTENANCE_5_FEATURES, fm, pokedM, oM, "Maintenance5Features");
      ENABLE(bin, X_ST_PB_FEATURES, fb, pokedB, oB, "PipelineBinaryFeatures");
    }
    uint32_t m = 0;
    for (; m < ci->enabledExtensionCount; m++) names[m] = ci->ppEnabledExtensionNames[m];
    if (exec && !hasName(names, m, "VK_KHR_pipeline_executable_properties")) names[m++] = "VK_KHR_pipeline_executable_properties";
    if (bin && !hasName(names, m, "VK_KHR_maintenance5")) names[m++] = "VK_KHR_maintenance5";
    if (bin && !hasName(names, m, "VK_KHR_pipeline_binary")) names[m++] = "VK_KHR_pipeline_binary";
    c.enabledExtensionCount = m; c.ppEnabledExtensionNames = names;
    li->u.pLayerInfo = nextLink;
    r = create(pd, &c, al, out);
    if (pokedE) poke(&pokedE->v, &oE, sizeof oE);
    if (pokedB) poke(&pokedB->v, &oB, sizeof oB);
    if (pokedM) poke(&pokedM->v, &oM, sizeof oM);
    if (p14) poke(p14, &o14, sizeof o14);
    if (r != VK_SUCCESS) { say("vkCreateDevice with the additions gave %d: trying as the program asked", r); exec = bin = 0; tried = 0; }
  }
  if (!tried) { li->u.pLayerInfo = nextLink; r = create(pd, ci, al, out); }
  free(names);
  if (r != VK_SUCCESS) return r;
  Dev *d = calloc(1, sizeof *d); if (!d) return r;
  d->h = *out; d->key = *(void **)*out; d->gdpa = gdpa; d->exec = exec; d->bin = bin;
#define G(f, n) d->f = (void *)gdpa(*out, n)
  G(createModule, "vkCreateShaderModule"); G(destroyModule, "vkDestroyShaderModule"); G(createCompute, "vkCreateComputePipelines");
  G(destroyPipeline, "vkDestroyPipeline"); G(destroyDevice, "vkDestroyDevice");
  G(createCache, "vkCreatePipelineCache"); G(destroyCache, "vkDestroyPipelineCache"); G(cacheData, "vkGetPipelineCacheData");
  if (exec) {
    G(exProps, "vkGetPipelineExecutablePropertiesKHR"); G(exStats, "vkGetPipelineExecutableStatisticsKHR"); G(exIR, "vkGetPipelineExecutableInternalRepresentationsKHR");
    if (!d->exProps || !d->exStats) { say("the executable functions are missing"); d->exec = 0; }
  }
  if (bin) {
    G(pbCreate, "vkCreatePipelineBinariesKHR"); G(pbData, "vkGetPipelineBinaryDataKHR"); G(pbDestroy, "vkDestroyPipelineBinaryKHR");
    if (!d->pbCreate || !d->pbData || !d->pbDestroy) { say("the pipeline binary functions are missing"); d->bin = 0; }
  }
  say("device made: statistics %s, binaries %s, cache %s%s", d->exec ? "on" : "OFF", d->bin ? "on" : "OFF", envOn("VKSTATS_CACHE", 0) ? "on" : "OFF", why);
  pthread_mutex_lock(&mu); d->next = devs; devs = d; pthread_mutex_unlock(&mu);
  return r;
}
static VKAPI_ATTR void VKAPI_CALL lDestroyDevice(VkDevice h, const VkAllocationCallbacks *al) {
  Dev *d = devOf(h); if (!d) return;
  pthread_mutex_lock(&mu);
  for (Dev **p = &devs; *p; p = &(*p)->next) if (*p == d) { *p = d->next; break; }
  for (Mod **p = &mods; *p;) if ((*p)->dev == d) { Mod *m = *p; *p = m->next; free(m->code); free(m); } else p = &(*p)->next;
  pthread_mutex_unlock(&mu);
  PFN_vkDestroyDevice f = d->destroyDevice; free(d);
  if (f) f(h, al);
}

/* ---- shader modules ---- */
static void dropMod(Dev *d, VkShaderModule h) {
  for (Mod **p = &mods; *p; p = &(*p)->next) if ((*p)->dev == d && (*p)->h == h) { Mod *m = *p; *p = m->next; free(m->code); free(m); return; }
}
static VKAPI_ATTR VkResult VKAPI_CALL lCreateShaderModule(VkDevice dv, const VkShaderModuleCreateInfo *ci, const VkAllocationCallbacks *al, VkShaderModule *out) {
  Dev *d = devOf(dv); if (!d || !d->createModule) return VK_ERROR_INITIALIZATION_FAILED;
  VkResult r = d->createModule(dv, ci, al, out);
  if (r != VK_SUCCESS) return r;
  Mod *m = calloc(1, sizeof *m); void *c = malloc(ci->codeSize ? ci->codeSize : 1);
  if (!m || !c) { free(m); free(c); return r; }
  memcpy(c, ci->pCode, ci->codeSize); m->dev = d; m->h = *out; m->size = ci->codeSize; m->code = c;
  pthread_mutex_lock(&mu); dropMod(d, *out); m->next = mods; mods = m; pthread_mutex_unlock(&mu);
  return r;
}
static VKAPI_ATTR void VKAPI_CALL lDestroyShaderModule(VkDevice dv, VkShaderModule h, const VkAllocationCallbacks *al) {
  Dev *d = devOf(dv); if (!d) return;
  if (h) { pthread_mutex_lock(&mu); dropMod(d, h); pthread_mutex_unlock(&mu); }
  if (d->destroyModule) d->destroyModule(dv, h, al);
}

/* ---- compute pipelines ---- */
typedef struct { char *p; size_t n, cap; } Str;
static void add(Str *s, const char *f, ...) {
  char b[2048]; va_list a; va_start(a, f); int n = vsnprintf(b, sizeof b, f, a); va_end(a);
  if (n < 0) return;
  if (n >= (int)sizeof b) n = sizeof b - 1;
  if (s->n + n + 1 > s->cap) { size_t c = (s->n + n + 1) * 2; char *q = realloc(s->p, c); if (!q) return; s->p = q; s->cap = c; }
  memcpy(s->p + s->n, b, n + 1); s->n += n;
}
static void clean(char *dst, const char *src, size_t cap) { /* one word */
  size_t i = 0; for (; i + 1 < cap && src[i]; i++) dst[i] = (src[i] <= ' ' || src[i] == '=' || src[i] == 127) ? '_' : src[i];
  dst[i] = 0;
}
static void spirvFacts(Str *line, const uint32_t *w, size_t bytes) {
  size_t n = bytes / 4, i = 5; if (n < 6 || w[0] != 0x07230203u) { add(line, " spirv=odd"); return; }
  while (i < n) {
    uint32_t len = w[i] >> 16, op = w[i] & 0xffff; if (!len || i + len > n || op == 54 /* OpFunction */) break;
    if (op == 16 && len >= 6 && w[i + 2] == 17) add(line, " local=%ux%ux%u", w[i + 3], w[i + 4], w[i + 5]);
    i += len;
  }
}
/* Makes *c create the same pipeline with the extra flags; undo by unflag. */
typedef struct { XFlags2 own; XFlags2 *app; uint64_t old; } FlagState;
static int addFlags(VkComputePipelineCreateInfo *c, uint64_t extra, int needs2, FlagState *s) {
  memset(s, 0, sizeof *s);
  XFlags2 *have = (XFlags2 *)find(c->pNext, X_ST_PIPELINE_CREATE_FLAGS_2);
  if (have) {
    s->old = have->flags; uint64_t v = have->flags | extra;
    if (v == s->old) return 0;
    if (poke(&have->flags, &v, sizeof v)) { say("cannot change the program's VkPipelineCreateFlags2CreateInfo"); return -1; }
    s->app = have; return 0;
  }
  if (needs2) {
    s->own.sType = (VkStructureType)X_ST_PIPELINE_CREATE_FLAGS_2; s->own.pNext = c->pNext; s->own.flags = (uint64_t)c->flags | extra;
    c->pNext = &s->own; return 0;
  }
  c->flags |= (VkPipelineCreateFlags)extra; return 0;
}
static void unflag(FlagState *s) { if (s->app) poke(&s->app->flags, &s->old, sizeof s->old); s->app = NULL; }
static VkComputePipelineCreateInfo alone(const VkComputePipelineCreateInfo *ci) { /* no base pipeline */
  VkComputePipelineCreateInfo c = *ci;
  if (!find(c.pNext, X_ST_PIPELINE_CREATE_FLAGS_2)) c.flags &= ~(VkPipelineCreateFlags)(VK_PIPELINE_CREATE_DERIVATIVE_BIT | VK_PIPELINE_CREATE_FAIL_ON_PIPELINE_COMPILE_REQUIRED_BIT | VK_PIPELINE_CREATE_EARLY_RETURN_ON_FAILURE_BIT);
  c.basePipelineHandle = VK_NULL_HANDLE; c.basePipelineIndex = -1; return c;
}

static void statistics(Dev *d, int idx, VkPipeline p, Str *line) {
  Str txt = { 0 };
  VkPipelineInfoKHR pi = { .sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = p };
  uint32_t n = 0; VkResult r = d->exProps(d->h, &pi, &n, NULL);
  if (r != VK_SUCCESS) { add(line, " properties_error=%d", r); return; }
  add(line, " executables=%u", n);
  if (!n) return;
  VkPipelineExecutablePropertiesKHR *pr = calloc(n, sizeof *pr); if (!pr) return;
  for (uint32_t i = 0; i < n; i++) pr[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
  r = d->exProps(d->h, &pi, &n, pr);
  if (r != VK_SUCCESS && r != VK_INCOMPLETE) { add(line, " properties_error=%d", r); free(pr); return; }
  for (uint32_t e = 0; e < n; e++) {
    char pre[24] = "", nm[VK_MAX_DESCRIPTION_SIZE];
    if (e) snprintf(pre, sizeof pre, "exe%u:", e);
    pr[e].name[VK_MAX_DESCRIPTION_SIZE - 1] = pr[e].description[VK_MAX_DESCRIPTION_SIZE - 1] = 0;
    clean(nm, pr[e].name, sizeof nm);
    add(line, " %sname=%s %sstages=0x%x %ssubgroup=%u", pre, nm, pre, pr[e].stages, pre, pr[e].subgroupSize);
    add(&txt, "executable %u: %s | %s | stages 0x%x | subgroup size %u\n", e, pr[e].name, pr[e].description, pr[e].stages, pr[e].subgroupSize);
    VkPipelineExecutableInfoKHR ei = { .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = p, .executableIndex = e };
    uint32_t m = 0; r = d->exStats(d->h, &ei, &m, NULL);
    VkPipelineExecutableStatisticKHR *st = r == VK_SUCCESS && m ? calloc(m, sizeof *st) : NULL;
    if (r != VK_SUCCESS) add(line, " %sstatistics_error=%d", pre, r);
    else if (!m) add(line, " %sstatistics=0", pre);
    if (st) {
      for (uint32_t i = 0; i < m; i++) st[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
      r = d->exStats(d->h, &ei, &m, st);
      if (r != VK_SUCCESS && r != VK_INCOMPLETE) { add(line, " %sstatistics_error=%d", pre, r); m = 0; }
      for (uint32_t i = 0; i < m; i++) {
        char v[64]; st[i].name[VK_MAX_DESCRIPTION_SIZE - 1] = st[i].description[VK_MAX_DESCRIPTION_SIZE - 1] = 0; clean(nm, st[i].name, sizeof nm);
        switch (st[i].format) {
          case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: snprintf(v, sizeof v, "%s", st[i].value.b32 ? "true" : "false"); break;
          case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: snprintf(v, sizeof v, "%" PRId64, st[i].value.i64); break;
          case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: snprintf(v, sizeof v, "%" PRIu64, st[i].value.u64); break;
          case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR: snprintf(v, sizeof v, "%g", st[i].value.f64); break;
          default: snprintf(v, sizeof v, "format%d:0x%" PRIx64, st[i].format, st[i].value.u64);
        }
        add(line, " %s%s=%s", pre, nm, v);
        add(&txt, "  %s = %s  (%s)\n", st[i].name, v, st[i].description);
      }
      free(st);
    }
    if (d->exIR && envOn("VKSTATS_IR", 1) && dirName()) {
      uint32_t k = 0; r = d->exIR(d->h, &ei, &k, NULL);
      if (r != VK_SUCCESS) { add(line, " %sir_error=%d", pre, r); continue; }
      add(line, " %sir=%u", pre, k);
      VkPipelineExecutableInternalRepresentationKHR *ir = k ? calloc(k, sizeof *ir) : NULL; if (!ir) continue;
      for (uint32_t i = 0; i < k; i++) ir[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
      uint32_t k0 = k; r = d->exIR(d->h, &ei, &k, ir); if (k > k0) k = k0;
      int ok = r == VK_SUCCESS || r == VK_INCOMPLETE;
      for (uint32_t i = 0; ok && i < k; i++) ir[i].pData = ir[i].dataSize ? calloc(1, ir[i].dataSize + 16) : NULL;
      if (ok) { r = d->exIR(d->h, &ei, &k, ir); if (k > k0) k = k0; }
      for (uint32_t i = 0; i < k; i++) if (ir[i].pData) {
        char ext[VK_MAX_DESCRIPTION_SIZE + 40], nm2[VK_MAX_DESCRIPTION_SIZE]; ir[i].name[VK_MAX_DESCRIPTION_SIZE - 1] = 0; clean(nm2, ir[i].name, sizeof nm2);
        for (char *q = nm2; *q; q++) if (*q == '/' || *q == '(' || *q == ')') *q = '_';
        if (r == VK_SUCCESS || r == VK_INCOMPLETE) {
          snprintf(ext, sizeof ext, "ir.%u.%u.%.100s.%s", e, i, nm2, ir[i].isText ? "txt" : "dat");
          size_t sz = ir[i].dataSize; if (ir[i].isText && sz) sz = strnlen(ir[i].pData, sz);
          save(idx, ext, ir[i].pData, sz);
        }
        free(ir[i].pData);
      }
      if (!ok || (r != VK_SUCCESS && r != VK_INCOMPLETE)) add(line, " %sir_error=%d", pre, r);
      free(ir);
    }
  }
  free(pr);
  if (txt.p) save(idx, "stats.txt", txt.p, txt.n);
  free(txt.p);
}
static void binaries(Dev *d, int idx, const VkComputePipelineCreateInfo *ci, Str *line) {
  VkComputePipelineCreateInfo c = alone(ci); FlagState fs; VkPipeline p = VK_NULL_HANDLE;
  if (addFlags(&c, X_CAPTURE_DATA, 1, &fs)) { add(line, " binary_error=flags"); return; }
  VkResult r = d->createCompute(d->h, VK_NULL_HANDLE, 1, &c, NULL, &p); /* the flag wants no cache */
  unflag(&fs);
  if (r != VK_SUCCESS || !p) { add(line, " binary_create_error=%d", r); say("%03d: pipeline with CAPTURE_DATA gave %d", idx, r); if (p) d->destroyPipeline(d->h, p, NULL); return; }
  XPBCreate bc = { .sType = (VkStructureType)X_ST_PB_CREATE_INFO, .pipeline = p }; XPBHandles hi = { .sType = (VkStructureType)X_ST_PB_HANDLES_INFO };
  r = d->pbCreate(d->h, &bc, NULL, &hi);
  uint64_t *h = r == VK_SUCCESS && hi.count && hi.count < 10000 ? calloc(hi.count, sizeof *h) : NULL;
  if (!h) { add(line, " binary_count_error=%d,count=%u", r, hi.count); say("%03d: vkCreatePipelineBinariesKHR gave %d, count %u", idx, r, hi.count); d->destroyPipeline(d->h, p, NULL); return; }
  uint32_t cap = hi.count; hi.bins = h;
  r = d->pbCreate(d->h, &bc, NULL, &hi); if (hi.count > cap) hi.count = cap;
  if (r < 0) { add(line, " binary_make_error=%d", r); say("%03d: vkCreatePipelineBinariesKHR (2) gave %d", idx, r); }
  else add(line, " binaries=%u", hi.count);
  for (uint32_t i = 0; i < hi.count; i++) {
    if (!h[i]) continue;
    XPBDataInfo di = { .sType = (VkStructureType)X_ST_PB_DATA_INFO, .binary = h[i] }; XPBKey key = { .sType = (VkStructureType)X_ST_PB_KEY }; size_t sz = 0;
    VkResult q = d->pbData(d->h, &di, &key, &sz, NULL);
    void *data = q == VK_SUCCESS && sz ? calloc(1, sz) : NULL;
    if (data) q = d->pbData(d->h, &di, &key, &sz, data);
    if (data && q == VK_SUCCESS) {
      char ext[32]; if (i) snprintf(ext, sizeof ext, "%u.bin", i); else snprintf(ext, sizeof ext, "bin");
      save(idx, ext, data, sz); add(line, " bin%u_bytes=%zu bin%u_fnv=%016" PRIx64, i, sz, i, fnv(data, sz));
    } else { add(line, " bin%u_error=%d", i, q); say("%03d: vkGetPipelineBinaryDataKHR gave %d, size %zu", idx, q, sz); }
    free(data); d->pbDestroy(d->h, h[i], NULL);
  }
  free(h); d->destroyPipeline(d->h, p, NULL);
}
static void cached(Dev *d, int idx, const VkComputePipelineCreateInfo *ci, Str *line) {
  if (!d->createCache || !d->destroyCache || !d->cacheData) { add(line, " cache_error=functions"); return; }
  VkPipelineCacheCreateInfo cc = { .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO }; VkPipelineCache pc = VK_NULL_HANDLE;
  VkResult r = d->createCache(d->h, &cc, NULL, &pc);
  if (r != VK_SUCCESS || !pc) { add(line, " cache_error=%d", r); return; }
  VkComputePipelineCreateInfo c = alone(ci); VkPipeline p = VK_NULL_HANDLE;
  r = d->createCompute(d->h, pc, 1, &c, NULL, &p);
  if (r != VK_SUCCESS) add(line, " cache_create_error=%d", r);
  else {
    size_t sz = 0; r = d->cacheData(d->h, pc, &sz, NULL); void *data = r == VK_SUCCESS && sz ? calloc(1, sz) : NULL;
    if (data) r = d->cacheData(d->h, pc, &sz, data);
    if (data && r == VK_SUCCESS) { save(idx, "cache", data, sz); add(line, " cache_bytes=%zu", sz); }
    else { add(line, " cache_data_error=%d", r); say("%03d: vkGetPipelineCacheData gave %d, size %zu", idx, r, sz); }
    free(data);
  }
  if (p) d->destroyPipeline(d->h, p, NULL);
  d->destroyCache(d->h, pc, NULL);
}
static void one(Dev *d, const VkComputePipelineCreateInfo *ci, VkPipeline p, int flagged, VkResult made, const char *note) {
  int idx = counter++; Str line = { 0 };
  uint32_t *code = NULL; size_t size = 0;
  pthread_mutex_lock(&mu);
  if (ci->stage.module) { for (Mod *m = mods; m; m = m->next) if (m->dev == d && m->h == ci->stage.module) { code = malloc(m->size ? m->size : 1); if (code) { memcpy(code, m->code, m->size); size = m->size; } break; } }
  pthread_mutex_unlock(&mu);
  if (!code) {
    VkShaderModuleCreateInfo *sm = (VkShaderModuleCreateInfo *)find(ci->stage.pNext, VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO);
    if (sm && sm->pCode && (code = malloc(sm->codeSize ? sm->codeSize : 1))) { memcpy(code, sm->pCode, sm->codeSize); size = sm->codeSize; }
  }
  char en[256]; clean(en, ci->stage.pName ? ci->stage.pName : "?", sizeof en);
  add(&line, "index=%03d spirv_fnv=%016" PRIx64 " entry=%s spirv_bytes=%zu", idx, code ? fnv(code, size) : 0, en, size);
  if (code) spirvFacts(&line, code, size); else add(&line, " spirv=unknown");
  if (ci->stage.pSpecializationInfo) add(&line, " spec_constants=%u", ci->stage.pSpecializationInfo->mapEntryCount);
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo *rs = (void *)find(ci->stage.pNext, VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO);
  if (rs) add(&line, " required_subgroup=%u", rs->requiredSubgroupSize);
  add(&line, " stage_flags=0x%x pipeline_flags=0x%x%s", ci->stage.flags, ci->flags, note);
  if (code) save(idx, "spv", code, size);
  if (made < 0 || !p) add(&line, " create_result=%d", made);
  else {
    if (d->exec && flagged) statistics(d, idx, p, &line); else if (!d->exec) add(&line, " statistics=unavailable");
    if (d->bin) binaries(d, idx, ci, &line);
    if (envOn("VKSTATS_CACHE", 0)) cached(d, idx, ci, &line);
  }
  const char *o = getenv("VKSTATS_OUT");
  FILE *f = o && *o ? fopen(o, "ae") : NULL;
  if (o && *o && !f) fprintf(stderr, "vkstats: cannot write %s: %s\n", o, strerror(errno));
  if (line.p) { if (f) fprintf(f, "%s\n", line.p); else fprintf(stderr, "vkstats: %s\n", line.p); }
  if (f) fclose(f);
  free(line.p); free(code);
}
static VKAPI_ATTR VkResult VKAPI_CALL lCreateComputePipelines(VkDevice dv, VkPipelineCache pc, uint32_t n, const VkComputePipelineCreateInfo *ci, const VkAllocationCallbacks *al, VkPipeline *out) {
  Dev *d = devOf(dv); if (!d || !d->createCompute) return VK_ERROR_INITIALIZATION_FAILED;
  if (envOn("VKSTATS_DISABLE", 0) || !d->destroyPipeline || !n) return d->createCompute(dv, pc, n, ci, al, out);
  pthread_mutex_lock(&big);
  int flagged = 0, sep = envOn("VKSTATS_SEPARATE", 0); VkResult r = VK_SUCCESS; const char *note = "";
  for (uint32_t i = 0; i < n; i++) out[i] = VK_NULL_HANDLE;
  uint64_t extra = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | (envOn("VKSTATS_IR", 1) ? VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR : 0);
  VkComputePipelineCreateInfo *c = NULL; FlagState *fs = NULL;
  if (d->exec && !sep && (c = calloc(n, sizeof *c)) && (fs = calloc(n, sizeof *fs))) {
    flagged = 1; uint32_t k = 0;
    for (; k < n; k++) { c[k] = ci[k]; if (addFlags(&c[k], extra, 0, &fs[k])) { flagged = 0; break; } }
    if (flagged) {
      r = d->createCompute(dv, pc, n, c, al, out);
      if (r < 0) {
        say("vkCreateComputePipelines with the capture flags gave %d: trying as the program asked", r); flagged = 0; note = " capture_flags=failed";
        for (uint32_t i = 0; i < n; i++) if (out[i]) { d->destroyPipeline(dv, out[i], al); out[i] = VK_NULL_HANDLE; }
      }
    }
    for (uint32_t i = 0; i < n && i <= k; i++) unflag(&fs[i]);
  }
  free(c); free(fs);
  if (!flagged) r = d->createCompute(dv, pc, n, ci, al, out);
  for (uint32_t i = 0; i < n; i++) {
    VkPipeline p = out[i], own = VK_NULL_HANDLE; int fl = flagged;
    if (d->exec && sep && p) {
      VkComputePipelineCreateInfo c2 = alone(&ci[i]); FlagState f2;
      if (!addFlags(&c2, extra, 0, &f2)) {
        VkResult q = d->createCompute(dv, VK_NULL_HANDLE, 1, &c2, NULL, &own); unflag(&f2);
        if (q == VK_SUCCESS && own) { p = own; fl = 1; note = " separate=1"; } else { say("separate pipeline gave %d", q); own = VK_NULL_HANDLE; }
      }
    }
    one(d, &ci[i], p, fl, r, note);
    if (own) d->destroyPipeline(dv, own, NULL);
  }
  pthread_mutex_unlock(&big);
  return r;
}

/* ---- entry points ---- */
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lGetDeviceProcAddr(VkDevice dv, const char *name);
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lGetInstanceProcAddr(VkInstance in, const char *name);
#define H(s, f) if (!strcmp(name, s)) return (PFN_vkVoidFunction)f
static PFN_vkVoidFunction devHook(const char *name) {
  H("vkGetDeviceProcAddr", lGetDeviceProcAddr); H("vkDestroyDevice", lDestroyDevice);
  H("vkCreateShaderModule", lCreateShaderModule); H("vkDestroyShaderModule", lDestroyShaderModule);
  H("vkCreateComputePipelines", lCreateComputePipelines);
  return NULL;
}
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lGetDeviceProcAddr(VkDevice dv, const char *name) {
  if (!name) return NULL;
  PFN_vkVoidFunction f = devHook(name); if (f) return f;
  Dev *d = devOf(dv); return d ? d->gdpa(dv, name) : NULL;
}
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lGetInstanceProcAddr(VkInstance in, const char *name) {
  if (!name) return NULL;
  H("vkGetInstanceProcAddr", lGetInstanceProcAddr); H("vkCreateInstance", lCreateInstance); H("vkDestroyInstance", lDestroyInstance); H("vkCreateDevice", lCreateDevice);
  PFN_vkVoidFunction f = devHook(name); if (f) return f;
  Inst *i = instOf(in); return i ? i->gipa(in, name) : NULL;
}
EXPORT VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *v) {
  if (!v || v->sType != LAYER_NEGOTIATE_INTERFACE_STRUCT) return VK_ERROR_INITIALIZATION_FAILED;
  if (v->loaderLayerInterfaceVersion > 2) v->loaderLayerInterfaceVersion = 2;
  if (v->loaderLayerInterfaceVersion >= 2) { v->pfnGetInstanceProcAddr = lGetInstanceProcAddr; v->pfnGetDeviceProcAddr = lGetDeviceProcAddr; v->pfnGetPhysicalDeviceProcAddr = NULL; }
  return VK_SUCCESS;
}
EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkstats_GetInstanceProcAddr(VkInstance in, const char *name) { return lGetInstanceProcAddr(in, name); }
EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkstats_GetDeviceProcAddr(VkDevice dv, const char *name) { return lGetDeviceProcAddr(dv, name); }
