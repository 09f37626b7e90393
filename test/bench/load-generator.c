// A closed-loop load generator over epoll, in C so that the client costs little on the machine it
// shares with the server. Prints one line: protocol, operation, connections, window, operations per
// second and latencies in ms. Protocols: resp (Redis), grpc (etcd v3), nats (JetStream KV).
// usage: lg proto op port conns inflight_per_conn seconds valsize keyspace [port2 port3..]
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>
#include <errno.h>
#include <time.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
typedef struct { int fd, id, ep; char *rb; size_t rl, rc; char *wb; size_t wl, wc, wo; uint64_t *st; uint32_t nextsid; uint8_t *got; 
  uint64_t *q; int qh, qt, qn; int stage; int inflight; int half; } C;
static int nconn, infl, vs; static long ks; static const char *proto,*op; static uint64_t t0,tw,tend; static int stopping;
static uint32_t *lat; static size_t nl, cap; static long errs, total;
static char val[1<<20];
static uint64_t now(){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec*1000000000ull+t.tv_nsec;}
static uint64_t rs=88172645463325252ull; static uint64_t rnd(){rs^=rs<<13;rs^=rs>>7;rs^=rs<<17;return rs;}
static void put(C*c,const void*p,size_t n){ if(c->wl+n>c->wc){c->wc=(c->wl+n)*2;c->wb=realloc(c->wb,c->wc);} memcpy(c->wb+c->wl,p,n); c->wl+=n; }
static int is(const char*a){return !strcmp(op,a);} 
static int P; // 1 resp 2 grpc 3 nats
// ---- grpc helpers
static void frame(C*c,int type,int flags,uint32_t sid,const void*p,uint32_t n){ unsigned char h[9]={n>>16,n>>8,n,type,flags,sid>>24,sid>>16,sid>>8,sid}; put(c,h,9); if(n)put(c,p,n);} 
static unsigned char hp[512]; static int hpl;
static void hs(const char*s){int n=strlen(s); hp[hpl++]=n; memcpy(hp+hpl,s,n); hpl+=n;}
static void mkhdr(const char*path){ hpl=0; hp[hpl++]=0x83; hp[hpl++]=0x86; hp[hpl++]=0x04; hs(path); hp[hpl++]=0x01; hs("127.0.0.1");
  hp[hpl++]=0x00; hs("content-type"); hs("application/grpc"); hp[hpl++]=0x00; hs("te"); hs("trailers"); }
static int key(char*b){ return sprintf(b,"key:%012lu",(unsigned long)(rnd()%ks)); }
static void issue(C*c,int slot){ char k[64]; int kl=key(k); char b[512]; c->inflight++;
  if(P==1){ c->q[c->qt]=now(); c->qt=(c->qt+1)%c->qn; 
    if(is("get")){ int n=sprintf(b,"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n",kl,k); put(c,b,n);} 
    else { int n=sprintf(b,"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n",kl,k,vs); put(c,b,n); put(c,val,vs); put(c,"\r\n",2);
      if(is("setwait")) put(c,"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n1000\r\n",sizeof("*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n1000\r\n")-1); } }
  else if(P==2){ uint32_t sid=c->nextsid; c->nextsid+=2; int s=(sid>>1)&65535; c->st[s]=now(); c->got[s]=0; 
    unsigned char m[2048]; int n=5; m[n++]=0x0a; m[n++]=kl; memcpy(m+n,k,kl); n+=kl; 
    if(is("put")){ m[n++]=0x12; if(vs<128)m[n++]=vs; else {m[n++]=(vs&127)|128; m[n++]=vs>>7;} memcpy(m+n,val,vs); n+=vs; }
    else if(is("sget")){ m[n++]=0x38; m[n++]=1; }
    m[0]=0; int L=n-5; m[1]=0;m[2]=0;m[3]=L>>8;m[4]=L; frame(c,1,4,sid,hp,hpl); frame(c,0,1,sid,m,n); }
  else { c->st[slot]=now(); int n;
    if(is("put")) { n=sprintf(b,"PUB $KV.b.%s _I.%d.%d %d\r\n",k+4,c->id,slot,vs); put(c,b,n); put(c,val,vs); put(c,"\r\n",2);} 
    else { n=sprintf(b,"PUB $JS.API.DIRECT.GET.KV_b.$KV.b.%s _I.%d.%d 0\r\n\r\n",k+4,c->id,slot); put(c,b,n);} }
}
static void done(C*c,int slot,uint64_t st,int ok){ uint64_t t=now(); c->inflight--; if(!ok)errs++; if(t>tw&&t<=tend){ if(nl==cap){cap=cap?cap*2:1<<20;lat=realloc(lat,cap*4);} lat[nl++]=(t-st)/100; total++; } if(t>tend)stopping=1; if(!stopping) issue(c,slot); }
static char*crlf(char*p,char*e){ char*q=memchr(p,'\r',e-p); if(q&&q+1<e)return q; return 0; }
static void parse(C*c){ char*p=c->rb,*e=c->rb+c->rl;
  if(P==1){ int need=is("setwait")?2:1; for(;;){ if(p>=e)break; char*q=crlf(p,e); if(!q)break; int ok=1; char*nx=q+2; if(*p=='$'){ long L=atol(p+1); if(L>=0){ if(q+2+L+2>e)break; nx=q+2+L+2; } } else if(*p=='-')ok=0; else if(*p==':' && need==2 && atol(p+1)<1) ok=0;
      p=nx; if(need==2 && c->half==0){ c->half=1; if(!ok)errs++; continue;} c->half=0; uint64_t st=c->q[c->qh]; c->qh=(c->qh+1)%c->qn; done(c,0,st,ok);} }
  else if(P==2){ while(e-p>=9){ unsigned char*h=(unsigned char*)p; uint32_t L=h[0]<<16|h[1]<<8|h[2]; if(e-p<9+(long)L)break; int ty=h[3],fl=h[4]; uint32_t sid=(h[5]<<24|h[6]<<16|h[7]<<8|h[8])&0x7fffffff;
      if(ty==4&&!(fl&1)) frame(c,4,1,0,0,0); else if(ty==6&&!(fl&1)) frame(c,6,1,0,p+9,8); else if(ty==7){fprintf(stderr,"GOAWAY %.*s\n",(int)L-8,p+17);exit(1);} 
      else if(ty==0&&L>=5) c->got[(sid>>1)&65535]=1; 
      if(ty==3){ done(c,0,c->st[(sid>>1)&65535],0);} else if((ty==0||ty==1)&&(fl&1)&&sid){ int s=(sid>>1)&65535; done(c,0,c->st[s],c->got[s]); }
      p+=9+L; } }
  else for(;;){ if(p>=e)break; char*q=crlf(p,e); if(!q)break; 
      if(!strncmp(p,"MSG",3)||!strncmp(p,"HMSG",4)){ int hm=p[0]=='H'; char*sp=q; while(sp[-1]!=' ')sp--; long L=atol(sp); if(q+2+L+2>e)break; char*s=p+(hm?5:4); char*d=s; int dots=0; while(dots<2){ if(*d=='.')dots++; d++; } int slot=atoi(d); int ok=1; if(!is("put")){ ok = hm && !memmem(q+2,40,"404",3) && !memmem(q+2,40,"408",3);} else ok=!memmem(q+2,L,"error",5);
        p=q+2+L+2; done(c,slot,c->st[slot],ok); }
      else { if(!strncmp(p,"PING",4)) put(c,"PONG\r\n",6); else if(!strncmp(p,"-ERR",4)) {fprintf(stderr,"%.*s\n",(int)(q-p),p);} p=q+2; } }
  size_t r=e-p; memmove(c->rb,p,r); c->rl=r; }
static int cmp(const void*a,const void*b){uint32_t x=*(uint32_t*)a,y=*(uint32_t*)b;return x<y?-1:x>y;}
static int efd; static void flushc(C*c){ while(c->wo<c->wl){ ssize_t n=write(c->fd,c->wb+c->wo,c->wl-c->wo); if(n<0){ if(errno==EAGAIN)break; perror("write");exit(1);} c->wo+=n; } if(c->wo==c->wl){c->wo=c->wl=0;} int w=c->wl>0; if(w!=c->ep){ struct epoll_event ev={.events=EPOLLIN|(w?EPOLLOUT:0),.data.ptr=c}; epoll_ctl(efd,EPOLL_CTL_MOD,c->fd,&ev); c->ep=w; } }
int main(int ac,char**av){ proto=av[1];op=av[2]; int port=atoi(av[3]); nconn=atoi(av[4]); infl=atoi(av[5]); double T=atof(av[6]); vs=atoi(av[7]); ks=atol(av[8]); int np=ac-8>1?ac-8:1;
  P=!strcmp(proto,"resp")?1:!strcmp(proto,"grpc")?2:3; memset(val,'x',sizeof val); for(int i=0;i<vs;i++)val[i]='a'+rnd()%26; rs^=now();
  mkhdr(is("put")?"/etcdserverpb.KV/Put":"/etcdserverpb.KV/Range"); efd=epoll_create1(0); C*cs=calloc(nconn,sizeof(C));
  for(int i=0;i<nconn;i++){ C*c=&cs[i]; c->id=i; c->fd=socket(AF_INET,SOCK_STREAM,0); int pt=port; if(np>1&&i%np)pt=atoi(av[8+i%np]); struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(pt)}; inet_pton(AF_INET,"127.0.0.1",&a.sin_addr); if(connect(c->fd,(void*)&a,sizeof a)){perror("connect");return 1;} int one=1; setsockopt(c->fd,IPPROTO_TCP,TCP_NODELAY,&one,4); fcntl(c->fd,F_SETFL,O_NONBLOCK);
    c->rc=1<<18;c->rb=malloc(c->rc);c->wc=1<<16;c->wb=malloc(c->wc); c->st=calloc(65536,8); c->got=calloc(65536,1); c->nextsid=1; c->qn=infl+1; c->q=calloc(c->qn,8);
    struct epoll_event ev={.events=EPOLLIN,.data.ptr=c}; epoll_ctl(efd,EPOLL_CTL_ADD,c->fd,&ev);
    if(P==2){ put(c,"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",24); unsigned char s[6]={0,4,0x7f,0xff,0xff,0xff}; frame(c,4,0,0,s,6); unsigned char w[4]={0x7f,0,0,0}; frame(c,8,0,0,w,4);} 
    if(P==3){ char b[256]; int n=sprintf(b,"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":false,\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\nSUB _I.%d.* 1\r\n",i); put(c,b,n);} }
  t0=now(); double W=T*0.15; if(W>1)W=1; tw=t0+W*1e9; tend=tw+T*1e9; for(int i=0;i<nconn;i++){ for(int j=0;j<infl;j++) issue(&cs[i],j); flushc(&cs[i]); }
  struct epoll_event evs[256]; struct rusage r0; int got0=0; for(;;){ uint64_t t=now(); if(!got0&&t>tw){getrusage(RUSAGE_SELF,&r0);got0=1;} if(t>tend+50000000ull){ int left=0; for(int i=0;i<nconn;i++)left+=cs[i].inflight; if(!left||t>tend+2000000000ull)break; }
    int n=epoll_wait(efd,evs,256,20); for(int i=0;i<n;i++){ C*c=evs[i].data.ptr; if(evs[i].events&EPOLLIN){ if(c->rl==c->rc){c->rc*=2;c->rb=realloc(c->rb,c->rc);} ssize_t k=read(c->fd,c->rb+c->rl,c->rc-c->rl); if(k<=0&&errno!=EAGAIN){fprintf(stderr,"conn closed %d\n",c->id);return 1;} if(k>0){c->rl+=k; parse(c);} } flushc(c);} }
  struct rusage r1; getrusage(RUSAGE_SELF,&r1); double cpu=(r1.ru_utime.tv_sec-r0.ru_utime.tv_sec)+(r1.ru_stime.tv_sec-r0.ru_stime.tv_sec)+(r1.ru_utime.tv_usec-r0.ru_utime.tv_usec+r1.ru_stime.tv_usec-r0.ru_stime.tv_usec)/1e6;
  qsort(lat,nl,4,cmp); if(!nl){printf("no samples errs=%ld\n",errs);return 1;}
  printf("%s,%s,c%d,m%d,%.0f,p50=%.3f,p99=%.3f,p999=%.3f,max=%.3f,errs=%ld,client_cpu=%.2f\n",proto,op,nconn,infl,nl/T,lat[nl/2]/1e4,lat[(size_t)(nl*0.99)]/1e4,lat[(size_t)(nl*0.999)]/1e4,lat[nl-1]/1e4,errs,cpu/T); return 0; }
